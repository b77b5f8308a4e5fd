//! Two gateways, two sites, a wan in between, and the programs of a gateway as their users meet them.

mod clear;
mod commands;
mod demo;
mod killed;
mod lab;
mod own_traffic;
mod passes;
mod restart;
mod size;
mod transport;
mod vlan;
mod watched;
mod workers;
