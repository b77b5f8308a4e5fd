//! Rings, their stores and formats, and the door to their keys, with foreign programs as judges.

mod basics;
mod beside;
mod disk;
mod door;
mod formats;
mod hostile;
mod power;
mod token;
mod tools;
