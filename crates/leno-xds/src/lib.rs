//! Delta xDS and Leno's wire resources.
