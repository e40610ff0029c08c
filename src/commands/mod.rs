//! The commands of the program, one file each.

mod audit;
mod database_args;
mod demo;
mod health;
mod labels;
mod openapi;
mod rotate_keys;
mod serve;
mod simulate;

pub use audit::{AuditArgs, audit};
pub use demo::{DemoArgs, demo};
pub use health::{HealthArgs, health};
pub use labels::{LabelFormat, LabelsArgs, LabelsSummary, labels, labels_of};
pub use openapi::openapi;
pub use rotate_keys::{RotateKeysArgs, rotate_keys};
pub use serve::{ServeArgs, run as serve};
pub use simulate::{SimulateArgs, run as simulate};
