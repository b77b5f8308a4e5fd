//! A small language for scripts of packets.
//!
//! ```text
//! client > S 0:0 win 65535 mss 1460     the client sends: flags, first number : octets of data, fields
//! server < S 0:0                        the server gets exactly this next; fields that are not named may be anything
//! server < nothing                      the server gets nothing (so far)
//! wait 40                               milliseconds pass
//! open / open plain / open mss 1000     a whole handshake; plain is without options
//! count challenge 1                     a counter stands so
//! mtu server 1300 1                     ICMP tells the path MTU towards the server, about the segment with that number
//! hold / free                           frames stay in the ring / come back
//! starve / feed                         packet memory has one frame left / has all again
//! answer                                the client of the first connection may be answered; its SYN was `onword`
//! part client                           the first connection is over, and its client has a last word to hear
//! ```
//!
//! In numbers, `cookie` stands for the first number of the latest SYN that the client got, where that was not the server's:
//! `cookie:0` for it, `ack cookie` for its acknowledgment, `cookie+5` and so on. `echo` is the latest time stamp it got.
//!
//! Numbers count from the first number of whoever sends them; `ack` counts from the other's.

use std::collections::VecDeque;

use ravelin_splice::wire::build::{Header, Opening};
use ravelin_splice::wire::segment::{Flags, Segment, intact};
use ravelin_splice::wire::seq::Seq;
use ravelin_splice::{Answer, Arrival, Clear, Endpoint, Frame, Limits, Memory, Now, Side, Splice};

use super::support::{Slot, Slots};

const CLIENT: Endpoint = (std::net::IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1)), 40_000);
const SERVER: Endpoint = (std::net::IpAddr::V4(std::net::Ipv4Addr::new(198, 51, 100, 7)), 443);
/// First numbers of client and server; the client's numbers wrap soon.
const FIRST: [Seq; 2] = [Seq(0xffff_ff00), Seq(0x1234_5678)];

/// A handshake whose options leave nothing out.
const OPEN: &str = "client > S 0:0 win 65535 mss 1460 scale 7 sackok ts 100 0
server < S 0:0 scale 7 sackok
server > SA 0:0 ack 1 win 65535 mss 1460 scale 7 sackok ts 200 0
client < SA 0:0 ack 1 scale 7 sackok
client > A 1:0 ack 1 ts 100 0
server < A 1:0 ack 1";

struct Player {
    splice: Splice<Slot, Clear>,
    memory: Slots,
    now: u64,
    /// What has come for client and server.
    got: [VecDeque<(Segment, Vec<u8>)>; 2],
    /// Whether frames stay in the ring, and those that do.
    hold: bool,
    held: Vec<Slot>,
    /// What was taken out of packet memory.
    starved: Vec<Slot>,
    /// Number and time stamp of the latest SYN that the client got.
    cookie: (Seq, u32),
}

/// What a line says of a segment.
#[derive(Default)]
struct Said {
    flags: u8,
    seq: u32,
    len: u16,
    ack: Option<u32>,
    window: Option<u16>,
    mss: Option<u16>,
    scale: Option<u8>,
    sack_permitted: bool,
    stamps: Option<(u32, u32)>,
    blocks: Vec<(u32, u32)>,
    bad_sum: bool,
    on_word: bool,
    raw: Option<u32>,
    /// Another address in the place of the sender's.
    from: Option<std::net::IpAddr>,
}

/// Plays a script.
///
/// # Errors
/// The line that did not hold, and what was there instead.
pub(crate) fn play(script: &str, limits: Limits) -> Result<(), String> {
    let splice = Splice::new(limits, Clear, 512, Now(1_000_000)).expect("limits are fit");
    let memory = Slots::new(512, 2_048);
    let mut player = Player {
        splice,
        memory,
        now: 1_000_000,
        got: Default::default(),
        hold: false,
        held: Vec::new(),
        starved: Vec::new(),
        cookie: (FIRST[1], 0),
    };
    for line in script.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        player.line(line).map_err(|why| format!("`{line}`: {why}"))?;
    }
    Ok(())
}

impl Player {
    fn line(&mut self, line: &str) -> Result<(), String> {
        let line = &self.with_cookie(line);
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["open"] => OPEN.lines().try_for_each(|line| self.line(line)),
            ["open", "plain"] => self.open(""),
            ["open", ..] => self.open(line.trim_start_matches("open")),
            ["wait", time] => self.wait(time.parse().map_err(|_| "a time")?),
            ["count", name, number] => self.count(name, number),
            ["mtu", side, mtu, seq] => self.narrow(side, mtu, seq),
            ["hold"] => {
                self.hold = true;
                Ok(())
            }
            ["free"] => self.free(),
            ["starve"] => {
                let count = self.memory.free() - 1;
                self.starved.extend((0..count).map_while(|_| self.memory.take()));
                Ok(())
            }
            ["feed"] => {
                std::mem::take(&mut self.starved).into_iter().for_each(|frame| self.memory.give(frame));
                Ok(())
            }
            ["answer"] => {
                self.splice.answer(Now(self.now), 0, &mut self.memory);
                self.turn()
            }
            ["part", side] => {
                let side = [Side::Client, Side::Server][index(side)?];
                self.splice.part_with(Now(self.now), 0, side, &mut self.memory);
                self.turn()
            }
            [side, ">", ref words @ ..] => self.send(index(side)?, &read(words)?),
            [side, "<", "nothing"] => match self.got[index(side)?].front() {
                None => Ok(()),
                Some(found) => Err(format!("there is {}", tell(index(side)?, &found.0))),
            },
            [side, "<", ref words @ ..] => self.expect(index(side)?, &read(words)?),
            _ => Err("no such line".into()),
        }
    }

    /// The line with numbers in the place of `cookie` and `echo`. That of a line which expects a cookie is its own.
    fn with_cookie(&mut self, line: &str) -> String {
        if line.contains("< SA cookie")
            && let Some((segment, _)) = self.got[0].front()
        {
            self.cookie = (segment.seq, segment.options.timestamps.map_or(0, |(value, _)| value));
        }
        let (number, echo) = self.cookie;
        let number = u64::from(number.since(FIRST[1]));
        let word = |word: &str| {
            let rest = word.strip_prefix("cookie").filter(|rest| !rest.starts_with('_'));
            let Some(rest) = rest else { return word.replace("echo", &echo.to_string()) };
            let (more, rest) = match rest.strip_prefix('+') {
                Some(rest) => rest
                    .split_once(':')
                    .map_or((rest, String::new()), |(more, len)| (more, format!(":{len}"))),
                None => (if rest.is_empty() { "1" } else { "0" }, rest.to_owned()),
            };
            let more: u64 = more.parse().expect("a number behind the cookie");
            format!("{}{rest}", number + more)
        };
        line.split(' ').map(word).collect::<Vec<_>>().join(" ")
    }

    fn open(&mut self, options: &str) -> Result<(), String> {
        let lines = [
            format!("client > S 0:0 win 65535 {options}"),
            "server < S 0:0".into(),
            format!("server > SA 0:0 ack 1 win 65535 {options}"),
            "client < SA 0:0 ack 1".into(),
            "client > A 1:0 ack 1 win 65535".into(),
            "server < A 1:0 ack 1".into(),
        ];
        lines.iter().try_for_each(|line| self.line(line))
    }

    fn wait(&mut self, milliseconds: u64) -> Result<(), String> {
        let end = self.now + milliseconds * 1_000;
        while let Some(at) = self.splice.next_deadline(Now(self.now)).filter(|at| at.0 <= end) {
            self.now = self.now.max(at.0);
            self.splice.expire(Now(self.now), &mut self.memory);
            self.turn()?;
        }
        self.now = end;
        Ok(())
    }

    fn count(&self, name: &str, number: &str) -> Result<(), String> {
        let mut all = self.splice.counters().all();
        let (_, found) = all.find(|(known, _)| *known == name).ok_or("no such counter")?;
        if found.to_string() == number { Ok(()) } else { Err(format!("it is {found}")) }
    }

    fn narrow(&mut self, side: &str, mtu: &str, seq: &str) -> Result<(), String> {
        let to = index(side)?;
        let ends = if to == 1 { (CLIENT, SERVER) } else { (SERVER, CLIENT) };
        let seq = FIRST[1 - to].plus(seq.parse().map_err(|_| "a number")?);
        let mtu = mtu.parse().map_err(|_| "an MTU")?;
        self.splice.path_mtu(Now(self.now), ends, (mtu, seq), &mut self.memory);
        self.turn()
    }

    fn free(&mut self) -> Result<(), String> {
        self.hold = false;
        for frame in std::mem::take(&mut self.held) {
            self.splice.complete(frame, &mut self.memory);
        }
        self.turn()
    }

    fn send(&mut self, from: usize, said: &Said) -> Result<(), String> {
        let ends = if from == 0 { (CLIENT, SERVER) } else { (SERVER, CLIENT) };
        let ends = ((said.from.unwrap_or(ends.0.0), ends.0.1), ends.1);
        let syn = Flags(said.flags).has(Flags::SYN);
        let opening = syn.then_some(Opening {
            mss: said.mss.unwrap_or(0),
            scale: said.scale,
            sack: said.sack_permitted,
        });
        let number = |offset: u32, of: usize| FIRST[of].plus(offset);
        let blocks: Vec<_> =
            said.blocks.iter().map(|(a, b)| (number(*a, 1 - from), number(*b, 1 - from))).collect();
        let header = Header {
            source: ends.0.1,
            destination: ends.1.1,
            seq: number(said.seq, from),
            ack: said.ack.map_or(Seq(0), |ack| number(ack, 1 - from)),
            flags: Flags(said.flags),
            window: said.window.unwrap_or(65_535),
            timestamps: said.stamps,
            blocks: &blocks,
            // A SYN of the tests that has no MSS has no options at all.
            opening: opening.filter(|opening| opening.mss > 0),
        };
        let mut frame = self.memory.take().ok_or("no frame")?;
        let (at, len) = (100, usize::from(said.len));
        for (place, offset) in frame.octets_mut()[at..at + len].iter_mut().zip(said.seq..) {
            *place = octet(from, offset);
        }
        let start = header.write(frame.octets_mut(), at, len, (ends.0.0, ends.1.0)).ok_or("no room")?;
        if let Some(raw) = said.raw {
            // Four octets of options of which nobody knows the meaning, in the place of the first four.
            frame.octets_mut()[start + 20..start + 24].copy_from_slice(&raw.to_be_bytes());
            reseal(&mut frame.octets_mut()[start..at + len], ends);
        }
        frame.octets_mut()[start + 17] ^= u8::from(said.bad_sum);
        let arrival = Arrival {
            frame,
            at: start as u16,
            len: (at + len - start) as u16,
            source: ends.0.0,
            destination: ends.1.0,
            answer: if said.on_word { Answer::OnWord } else { Answer::Mirrored },
        };
        self.splice.receive(Now(self.now), arrival, &mut self.memory);
        self.turn()
    }

    /// One round of the splice.
    fn turn(&mut self) -> Result<(), String> {
        self.splice.flush(Now(self.now), &mut self.memory);
        while let Some(transmit) = self.splice.transmit() {
            let range = transmit.at.into()..usize::from(transmit.at + transmit.len);
            let octets = transmit.frame.octets()[range].to_vec();
            let ends = transmit.ends;
            intact(&octets, ends.local().0, ends.remote().0).map_err(|_| "a bad checksum was sent")?;
            let segment = Segment::read(&octets).map_err(|_| "no segment was sent")?;
            let data = octets[segment.data_at.into()..].to_vec();
            self.got[usize::from(ends.remote() == SERVER)].push_back((segment, data));
            if self.hold {
                self.held.push(transmit.frame);
            } else {
                self.splice.complete(transmit.frame, &mut self.memory);
            }
        }
        Ok(())
    }

    fn expect(&mut self, to: usize, said: &Said) -> Result<(), String> {
        let (segment, data) = self.got[to].pop_front().ok_or("there is nothing")?;
        let from = 1 - to;
        let options = &segment.options;
        let relative = |seq: Seq, of: usize| seq.since(FIRST[of]);
        let blocks: Vec<_> =
            options.blocks().iter().map(|(a, b)| (relative(*a, to), relative(*b, to))).collect();
        // PSH says nothing of the connection; it is looked for where it is named.
        let same = segment.flags.0 & !Flags::PSH.0 == said.flags & !Flags::PSH.0
            && (segment.flags.has(Flags::PSH) || said.flags & Flags::PSH.0 == 0)
            && relative(segment.seq, from) == said.seq
            && segment.len == said.len
            && said.ack.is_none_or(|ack| relative(segment.ack, to) == ack)
            && said.window.is_none_or(|window| segment.window == window)
            && said.mss.is_none_or(|mss| options.mss == Some(mss))
            && said.scale.is_none_or(|scale| options.scale == Some(scale))
            && (!said.sack_permitted || options.sack_permitted)
            && said.stamps.is_none_or(|(_, echo)| options.timestamps.map(|(_, echo)| echo) == Some(echo))
            && (said.blocks.is_empty() || said.blocks == blocks);
        if !same {
            return Err(format!("it is {}", tell(to, &segment)));
        }
        let shift = if to == 0 { self.cookie.0.since(FIRST[1]) } else { 0 };
        let wrong = data
            .iter()
            .zip(said.seq.wrapping_sub(shift)..)
            .any(|(found, offset)| *found != octet(from, offset));
        if wrong { Err("the octets are others".into()) } else { Ok(()) }
    }
}

fn octet(from: usize, offset: u32) -> u8 {
    (offset.wrapping_mul(31) >> 2) as u8 ^ from as u8
}

fn reseal(segment: &mut [u8], ends: (Endpoint, Endpoint)) {
    segment[16..18].fill(0);
    let sum = ravelin_splice::wire::checksum::Sum::default()
        .pseudo_header(ends.0.0, ends.1.0, 6, segment.len() as u16)
        .octets(segment)
        .finish();
    segment[16..18].copy_from_slice(&sum.to_be_bytes());
}

fn index(side: &str) -> Result<usize, String> {
    match side {
        "client" => Ok(0),
        "server" => Ok(1),
        _ => Err(format!("nobody is called {side}")),
    }
}

fn read(words: &[&str]) -> Result<Said, String> {
    let mut words = words.iter().copied();
    let mut said = Said::default();
    for letter in words.next().ok_or("flags")?.chars() {
        said.flags |= match letter {
            'F' => 1,
            'S' => 2,
            'R' => 4,
            'P' => 8,
            'A' => 16,
            'U' => 32,
            '-' => 0,
            _ => return Err(format!("no flag {letter}")),
        };
    }
    let (seq, len) = words.next().and_then(|word| word.split_once(':')).ok_or("number:octets")?;
    (said.seq, said.len) = (number(seq)?, number(len)? as u16);
    while let Some(name) = words.next() {
        if name == "sackok" {
            said.sack_permitted = true;
            continue;
        }
        if name == "badsum" {
            said.bad_sum = true;
            continue;
        }
        if name == "onword" {
            said.on_word = true;
            continue;
        }
        let value = words.next().ok_or_else(|| format!("a value of {name}"))?;
        match name {
            "ack" => said.ack = Some(number(value)?),
            "win" => said.window = Some(number(value)? as u16),
            "mss" => said.mss = Some(number(value)? as u16),
            "scale" => said.scale = Some(number(value)? as u8),
            "ts" => said.stamps = Some((number(value)?, number(words.next().ok_or("an echo")?)?)),
            "from" => said.from = Some(value.parse().map_err(|_| "an address")?),
            "raw" => said.raw = Some(u32::from_str_radix(value, 16).map_err(|_| "hex")?),
            "sack" => {
                let (a, b) = value.split_once('-').ok_or("a-b")?;
                said.blocks.push((number(a)?, number(b)?));
            }
            _ => return Err(format!("no field {name}")),
        }
    }
    Ok(said)
}

fn number(word: &str) -> Result<u32, String> {
    word.parse::<i64>().map(|number| number as u32).map_err(|_| format!("{word} is no number"))
}

fn tell(to: usize, segment: &Segment) -> String {
    let signed = |seq: Seq, of: usize| seq.since(FIRST[of]) as i32;
    let blocks: Vec<_> =
        segment.options.blocks().iter().map(|(a, b)| (signed(*a, to), signed(*b, to))).collect();
    let names: String = "FSRPA"
        .chars()
        .zip(0..)
        .filter(|(_, bit)| segment.flags.0 >> bit & 1 == 1)
        .map(|(name, _)| name)
        .collect();
    format!(
        "{names} {}:{} ack {} win {} mss {:?} scale {:?} ts {:?} sack {blocks:?}",
        signed(segment.seq, 1 - to),
        segment.len,
        signed(segment.ack, to),
        segment.window,
        segment.options.mss,
        segment.options.scale,
        segment.options.timestamps,
    )
}
