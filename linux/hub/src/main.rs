// SPDX-License-Identifier: MIT OR Apache-2.0
//! `hub`: shows and changes Hematite's hub, from a command line.
//!
//! Exit status: 0 done, 1 the service refused, 2 there is no answer (usage, module, service).
#![forbid(unsafe_code)]

mod device;
mod show;
mod table;

use std::fmt;
use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use device::{Device, Failure};
use ffa_abi::hub::{
    Control, DEAD_LETTER_RECORD, DeadLetterRecord, Direction, EventRecord, HubCall, List, MAX_PARTICIPANTS, OpenWindow,
    PartitionRecord, RouteRecord, WindowRecord,
};
use ffa_abi::{PartitionId, Uuid};
use show::Clock;
use table::{Row, Value};

const USAGE: &str = "\
usage: hub [--json] COMMAND, numbers in decimal or 0x...
  status                           who coordinates, windows, free table memory
  partitions                       states, windows, queue, breaker, refusals of each
  queues | breakers                the same, in short
  routes                           who does not reach whom, by a breaker between the two
  windows [--closed]               open windows; summaries of closed ones
  open ID ID [ID ID] [OPTIONS]     open a window for partitions; prints its number
      --one-way                    only the first may send (default: all)
      --messages N                 so many messages at the most (default: 100)
      --ms N                       so long (default: 1000)
      --correlation N              what the work is called (default: the next that is free)
      --purpose UUID               the service that it belongs to (default: nil)
  close WINDOW                     close a window
  forget                           forget the summaries
  dead [NUMBER]                    list dead letters; read one
  purge                            forget the dead letters
  isolate | pause | resume | trip | reset ID
  cancel TASK                      cancel what is pending of a task
  events [--from N] [--follow]     refusals, deaths, windows, breakers, queues, dead letters; --follow waits
                                   for more
exit status: 0 done, 1 refused, 2 no answer";

/// How often `--follow` asks.
const PAUSE: Duration = Duration::from_millis(200);

/// Why nothing was done.
enum Trouble {
    Usage(String),
    Call(Failure),
    Output(std::io::Error),
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(what) => write!(f, "{what}\n{USAGE}"),
            Self::Call(failure) => failure.fmt(f),
            Self::Output(error) => write!(f, "standard output: {error}"),
        }
    }
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        Self::Call(failure)
    }
}

/// What the command line asks for.
#[derive(Debug, PartialEq, Eq)]
enum Command {
    Status,
    Partitions,
    Queues,
    Breakers,
    Routes,
    Windows { closed: bool },
    Open { window: OpenWindow, correlation: Option<u64> },
    Change(HubCall),
    Dead(Option<u64>),
    Events { from: u64, follow: bool },
}

fn number(word: &str) -> Result<u64, String> {
    let parsed = match word.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => word.parse(),
    };
    parsed.map_err(|_| format!("this is no number: {word}"))
}

fn small<T: TryFrom<u64>>(word: &str) -> Result<T, String> {
    T::try_from(number(word)?).map_err(|_| format!("this number is too large: {word}"))
}

/// The options of all commands.
#[derive(Default)]
struct Options {
    json: bool,
    closed: bool,
    one_way: bool,
    follow: bool,
    messages: Option<u16>,
    ms: Option<u32>,
    correlation: Option<u64>,
    purpose: Option<Uuid>,
    from: Option<u64>,
}

impl Options {
    /// Takes what belongs to `open`.
    fn window(&mut self, ids: &[&str]) -> Result<Command, String> {
        let mut participants = [PartitionId(0); MAX_PARTICIPANTS];
        if !(2..=MAX_PARTICIPANTS).contains(&ids.len()) {
            return Err("a window has two to four participants".into());
        }
        for (to, word) in participants.iter_mut().zip(ids) {
            *to = PartitionId(small(word)?);
        }
        let direction = if std::mem::take(&mut self.one_way) { Direction::FromFirst } else { Direction::Both };
        let window = OpenWindow {
            count: ids.len() as u8,
            participants,
            direction,
            correlation: 0,
            purpose: self.purpose.take().unwrap_or(Uuid::NIL),
            lifetime_ms: self.ms.take().unwrap_or(1000),
            limit: self.messages.take().unwrap_or(100),
        };
        if window.lifetime_ms == 0 || window.limit == 0 {
            return Err("a window lasts, and lets messages through: --ms and --messages are not 0".into());
        }
        Ok(Command::Open { window, correlation: self.correlation.take() })
    }

    /// Tells whether everything but `--json` belonged to the command.
    fn are_used(&self) -> bool {
        let flags = self.closed || self.one_way || self.follow;
        let window = self.messages.is_some() || self.ms.is_some() || self.correlation.is_some();
        !(flags || window || self.purpose.is_some() || self.from.is_some())
    }
}

/// Reads the words of the command line: the command, and whether to answer in JSON.
fn parse(words: &[String]) -> Result<(Command, bool), String> {
    let (mut options, mut plain) = (Options::default(), Vec::new());
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or(format!("{word} wants a value"));
        match word.as_str() {
            "--json" => options.json = true,
            "--closed" => options.closed = true,
            "--one-way" => options.one_way = true,
            "--follow" => options.follow = true,
            "--messages" => options.messages = Some(small(value()?)?),
            "--ms" => options.ms = Some(small(value()?)?),
            "--correlation" => options.correlation = Some(number(value()?)?),
            "--purpose" => {
                let text = value()?;
                options.purpose = Some(Uuid::parse(text).map_err(|_| format!("this is no UUID: {text}"))?);
            }
            "--from" => options.from = Some(number(value()?)?),
            option if option.starts_with("--") => return Err(format!("there is no option {option}")),
            _ => plain.push(word.as_str()),
        }
    }
    let control = |name: &str| Control::ALL.iter().copied().find(|c| c.text() == name);
    let command = match plain[..] {
        ["status"] => Command::Status,
        ["partitions"] => Command::Partitions,
        ["queues"] => Command::Queues,
        ["breakers"] => Command::Breakers,
        ["routes"] => Command::Routes,
        ["windows"] => Command::Windows { closed: std::mem::take(&mut options.closed) },
        ["open", ref ids @ ..] => options.window(ids)?,
        ["close", id] => Command::Change(HubCall::CloseWindow(small(id)?)),
        ["forget"] => Command::Change(HubCall::ForgetSummaries),
        ["dead"] => Command::Dead(None),
        ["dead", n] => Command::Dead(Some(number(n)?)),
        ["purge"] => Command::Change(HubCall::PurgeDeadLetters),
        ["cancel", task] => Command::Change(HubCall::CancelTask(number(task)?)),
        ["events"] => {
            let follow = std::mem::take(&mut options.follow);
            Command::Events { from: options.from.take().unwrap_or(0), follow }
        }
        [] => return Err("a command is missing".into()),
        [what, id] if control(what).is_some() => {
            let what = control(what).ok_or("no such command")?;
            Command::Change(HubCall::Control(what, PartitionId(small(id)?)))
        }
        // Anything else is no command line.
        _ => return Err(format!("this is no command: {}", plain.join(" "))),
    };
    if !options.are_used() {
        return Err("an option does not belong to this command".into());
    }
    Ok((command, options.json))
}

fn print(text: &str) -> Result<(), Trouble> {
    let mut out = std::io::stdout();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(Trouble::Output)
}

fn print_rows(rows: &[Row], json: bool) -> Result<(), Trouble> {
    print(&if json { table::array(rows) + "\n" } else { table::table(rows) })
}

fn print_row(row: &Row, json: bool) -> Result<(), Trouble> {
    print(&if json { table::object(row) + "\n" } else { table::lines(row) })
}

fn partitions(device: &mut Device) -> Result<Vec<Row>, Failure> {
    let from = |found: &[PartitionRecord]| List::Partitions(found.len() as u32);
    let records = device.list(List::Partitions(0), PartitionRecord::decode, from)?;
    Ok(records.iter().map(show::partition).collect())
}

fn windows(device: &mut Device, closed: bool) -> Result<Vec<WindowRecord>, Failure> {
    let list = if closed { List::Summaries } else { List::Windows };
    device.list(list(0), WindowRecord::decode, |found: &[WindowRecord]| list(found.len() as u32))
}

/// Finds a correlation id that no window has had.
fn free_correlation(device: &mut Device) -> Result<u64, Failure> {
    let mut known = windows(device, false)?;
    known.extend(windows(device, true)?);
    Ok((1..).find(|n| known.iter().all(|w| w.correlation != *n)).unwrap_or_default())
}

fn events(device: &mut Device, clock: Clock, mut from: u64, follow: bool, json: bool) -> Result<(), Trouble> {
    let after = |e: &EventRecord| e.sequence.wrapping_add(1);
    loop {
        let list = |from: u64| List::Events(from);
        let records = device
            .list(list(from), EventRecord::decode, |found: &[EventRecord]| list(found.last().map_or(from, after)))?;
        from = records.last().map_or(from, after);
        let rows: Vec<Row> = records.iter().map(|e| show::event(e, clock)).collect();
        if !follow {
            return print_rows(&rows, json);
        }
        for row in &rows {
            print(&if json { table::object(row) + "\n" } else { table::line(row) })?;
        }
        std::thread::sleep(PAUSE);
    }
}

fn dead_letter(device: &mut Device, clock: Clock, n: u64, json: bool) -> Result<(), Trouble> {
    let bytes = device.read_one(List::DeadLetter(n))?;
    let (head, payload) = bytes.split_first_chunk::<DEAD_LETTER_RECORD>().ok_or(Failure::Garbled)?;
    let mut row = show::dead_letter(&DeadLetterRecord::decode(head).ok_or(Failure::Garbled)?, clock);
    row.push(("payload", Value::Text(payload.iter().map(|byte| format!("{byte:02x}")).collect())));
    print_row(&row, json)
}

/// Carries a command out.
fn carry_out(command: &Command, json: bool) -> Result<(), Trouble> {
    let mut device = Device::open()?;
    let description = device.describe()?;
    let clock = Clock(description.counter_hz);
    match *command {
        Command::Status => {
            let mut row = show::status(&description);
            row.push(("evicted_letters", Value::Number(device.evicted_letters()?)));
            print_row(&row, json)
        }
        Command::Partitions => print_rows(&partitions(&mut device)?, json),
        Command::Queues | Command::Breakers => {
            let columns: &[&str] = match command {
                Command::Queues => &["id", "name", "queued", "unacked"],
                _ => &["id", "name", "breaker", "refusals"],
            };
            let rows: Vec<Row> = partitions(&mut device)?.into_iter().map(|row| show::columns(row, columns)).collect();
            print_rows(&rows, json)
        }
        Command::Routes => {
            let from = |found: &[RouteRecord]| List::Routes(found.len() as u32);
            let records = device.list(List::Routes(0), RouteRecord::decode, from)?;
            let rows: Vec<Row> = records.iter().map(|r| show::route(r, clock)).collect();
            print_rows(&rows, json)
        }
        Command::Windows { closed } => {
            let rows: Vec<Row> = windows(&mut device, closed)?.iter().map(|w| show::window(w, clock)).collect();
            print_rows(&rows, json)
        }
        Command::Open { window, correlation } => {
            let correlation = match correlation {
                Some(n) => n,
                None => free_correlation(&mut device)?,
            };
            let [id, ..] = device.call(HubCall::OpenWindow(OpenWindow { correlation, ..window }))?;
            print_row(&vec![("window", Value::Number(id)), ("correlation", Value::Number(correlation))], json)
        }
        Command::Change(call) => {
            let [count, ..] = device.call(call)?;
            let row = match call {
                HubCall::ForgetSummaries | HubCall::PurgeDeadLetters => vec![("forgotten", Value::Number(count))],
                HubCall::CancelTask(_) => vec![("cancelled", Value::Number(count))],
                _ => vec![("done", Value::Bool(true))],
            };
            print_row(&row, json)
        }
        Command::Dead(None) => {
            let from = |found: &[DeadLetterRecord]| List::DeadLetters(found.len() as u32);
            let records = device.list(List::DeadLetters(0), DeadLetterRecord::decode, from)?;
            let rows: Vec<Row> = records.iter().map(|d| show::dead_letter(d, clock)).collect();
            print_rows(&rows, json)
        }
        Command::Dead(Some(n)) => dead_letter(&mut device, clock, n, json),
        Command::Events { from, follow } => events(&mut device, clock, from, follow, json),
    }
}

fn main() -> ExitCode {
    let done =
        parse(&call_device::words()).map_err(Trouble::Usage).and_then(|(command, json)| carry_out(&command, json));
    let status = |trouble: &Trouble| if matches!(trouble, Trouble::Call(Failure::Refused(_))) { 1 } else { 2 };
    call_device::finish("hub", done.map(|()| 0).map_err(|trouble| (status(&trouble), trouble)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<(Command, bool), String> {
        parse(&line.split_whitespace().map(String::from).collect::<Vec<_>>())
    }

    #[test]
    fn command_lines() {
        assert_eq!(parsed("--json status"), Ok((Command::Status, true)));
        assert_eq!(parsed("routes"), Ok((Command::Routes, false)));
        assert_eq!(parsed("windows --closed"), Ok((Command::Windows { closed: true }, false)));
        assert_eq!(parsed("close 0x100"), Ok((Command::Change(HubCall::CloseWindow(0x100)), false)));
        let pause = HubCall::Control(Control::Pause, PartitionId(0x8001));
        assert_eq!(parsed("pause 0x8001"), Ok((Command::Change(pause), false)));
        assert_eq!(parsed("events --follow --from 7"), Ok((Command::Events { from: 7, follow: true }, false)));
        let Ok((Command::Open { window, correlation }, false)) =
            parsed("open 0x8001 0x8002 --one-way --messages 3 --ms 50 --correlation 9")
        else {
            panic!("open is understood")
        };
        assert_eq!(correlation, Some(9));
        assert_eq!((window.count, window.limit, window.lifetime_ms), (2, 3, 50));
        assert_eq!(window.direction, Direction::FromFirst);
    }

    #[test]
    fn what_is_no_command_line() {
        for wrong in [
            "",
            "open 1",
            "open 1 2 3 4 5",
            "open 1 70000",
            "open 1 2 --ms 0",
            "close",
            "close x",
            "status --closed",
            "windows --follow",
            "pause",
            "explode 1",
            "--what",
            "dead 1 2",
            "open 1 2 --purpose x",
            "events --from",
        ] {
            assert!(parsed(wrong).is_err(), "{wrong}");
        }
    }
}
