//! The simulator.
pub mod generator;
