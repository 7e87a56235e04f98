//! Process kit: settings, logging, drain, sockets.
