//! What the splice asks about octets, connection by connection.

use std::collections::VecDeque;

use ravelin_contract::tls::Notice;
use ravelin_splice::{Endpoint, Finish, Passed, Refused, Relay, Way};

use super::buffers::Buffers;
use super::connection::{Connection, Desk};

/// A record with little content costs nearly as much as a long one.
const LEAST_ROOM: usize = 256;

/// The connections of a worker by their numbers in the splice.
pub(super) struct Records {
    connections: Vec<Option<Connection>>,
    /// So many of them have been asked to rest in this round.
    rested: usize,
    buffers: Buffers,
    /// What control is to hear.
    pub(super) notices: VecDeque<Notice>,
    /// Connections that stand and have no rule yet.
    pub(super) opened: Vec<(u32, [Endpoint; 2])>,
    /// Connections whose client may be told that its server has answered.
    pub(super) answered: Vec<u32>,
    /// Connections that are to be reset, once what they owe has gone out.
    pub(super) doomed: Vec<u32>,
}

impl Records {
    pub(super) fn new(connections: usize, buffers: usize) -> Self {
        Self {
            connections: (0..connections).map(|_| None).collect(),
            rested: 0,
            buffers: Buffers::new(buffers, connections),
            notices: VecDeque::new(),
            opened: Vec::new(),
            answered: Vec::new(),
            doomed: Vec::new(),
        }
    }

    /// The connection of this number, once it has a rule.
    pub(super) fn connection(&mut self, flow: u32) -> Option<&mut Connection> {
        self.connections.get_mut(flow as usize)?.as_mut()
    }

    /// Lets some of the connections rest that have nothing to do, and others at the next call; after `calls` all had their
    /// turn.
    pub(super) fn rest(&mut self, calls: usize) {
        let some = self.connections.len().div_ceil(calls);
        let turn = self.connections.iter_mut().skip(self.rested).take(some);
        turn.flatten().for_each(Connection::rest);
        self.rested += some;
        if self.rested >= self.connections.len() {
            self.rested = 0;
        }
    }

    /// It has its rule.
    pub(super) fn admit(&mut self, flow: u32, connection: Connection) {
        self.connections[flow as usize] = Some(connection);
    }

    /// A connection that can go on because there is room for records again.
    pub(super) fn next_waiting(&mut self) -> Option<u32> {
        self.buffers.next_waiting()
    }

    #[cfg(test)]
    pub(super) fn take_buffer(&mut self, flow: u32) -> Option<super::buffers::Buffer> {
        self.buffers.take(flow)
    }

    #[cfg(test)]
    pub(super) fn give_buffer(&mut self, buffer: super::buffers::Buffer) {
        self.buffers.give(buffer);
    }

    /// Buffers that nobody has.
    pub(super) fn free_buffers(&self) -> usize {
        self.buffers.free()
    }

    /// Does something with a connection, and notes whether it is over then.
    fn with<T>(&mut self, flow: u32, act: impl FnOnce(&mut Connection, &mut Desk<'_>) -> T) -> Option<T> {
        let connection = self.connections.get_mut(flow as usize)?.as_mut()?;
        let notices = &mut self.notices;
        let mut say = |notice| notices.push_back(notice);
        let mut desk = Desk { flow, buffers: &mut self.buffers, say: &mut say };
        let result = act(connection, &mut desk);
        self.notices.extend(connection.over());
        self.note_doom(flow);
        Some(result)
    }

    /// Puts a connection that is to be reset on the list of those.
    pub(super) fn note_doom(&mut self, flow: u32) {
        let is_doomed = self.connection(flow).is_some_and(|connection| connection.doom.is_some());
        if is_doomed && !self.doomed.contains(&flow) {
            self.doomed.push(flow);
        }
    }

    fn is_outward(&self, way: Way) -> Option<bool> {
        let connection = self.connections.get(way.flow as usize)?.as_ref()?;
        Some(way.from != connection.peer())
    }
}

impl Relay for Records {
    fn open(&mut self, flow: u32, ends: [Endpoint; 2]) {
        self.opened.push((flow, ends));
    }

    fn pass(&mut self, way: Way, input: &[u8], output: &mut [u8]) -> Result<Passed, Refused> {
        let passed = self.is_outward(way).and_then(|outward| {
            self.with(way.flow, |connection, desk| match outward {
                true => connection.outward(input, output, desk),
                false => connection.inward(input, output, desk),
            })
        });
        Ok(passed.unwrap_or(Passed { taken: 0, given: 0 }))
    }

    fn owes(&self, way: Way) -> bool {
        let connection = self.connections.get(way.flow as usize).and_then(Option::as_ref);
        connection.is_some_and(|connection| connection.owes(way.from != connection.peer()))
    }

    fn has_ended(&self, way: Way) -> bool {
        let connection = self.connections.get(way.flow as usize).and_then(Option::as_ref);
        connection.is_some_and(|connection| way.from == connection.peer() && connection.has_peer_closed())
    }

    fn least_room(&self) -> usize {
        LEAST_ROOM
    }

    fn look_ahead(&self, flow: u32) {
        if let Some(Some(connection)) = self.connections.get(flow as usize) {
            std::hint::black_box(connection.glance());
        }
    }

    fn finish(&mut self, way: Way, output: &mut [u8]) -> Result<Finish, Refused> {
        let state = self.is_outward(way).and_then(|outward| {
            self.with(way.flow, |connection, desk| match outward {
                true => connection.finish_outward(output),
                false => connection.finish_inward(output, desk),
            })
        });
        Ok(state.unwrap_or(Finish::Wait))
    }

    fn close(&mut self, flow: u32) {
        self.opened.retain(|(opened, _)| *opened != flow);
        self.answered.retain(|answered| *answered != flow);
        self.doomed.retain(|doomed| *doomed != flow);
        if let Some(connection) = self.connections[flow as usize].take() {
            self.notices.extend(connection.close(&mut self.buffers));
        }
    }
}
