//! Harness of the end-to-end tests: a mesh of its own per scene.
