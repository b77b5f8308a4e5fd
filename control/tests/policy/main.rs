//! What is written in the files of policy, what it means, and what is said of mistakes.

mod attls;
mod configs_load;
mod ike;
mod imported;
mod management;
mod meaning;
mod mistakes;
mod no_panic;
