//! stub

pub mod diagnostic;
pub mod policy;
