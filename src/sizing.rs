//! How many workers a machine can feed, as arithmetic that a reader can follow.
//!
//! Source of the figures: the deployment guide of Flectra, section "Builtin server" (worker number and memory
//! size calculation): at most 2 x CPU + 1 workers, about 6 concurrent users a worker, 20 % heavy requests of
//! about 1 GB and 80 % light ones of about 150 MB, and cron workers besides. Its worked example (4 cores,
//! 8 threads, 60 users: 8 workers and 1 for cron, about 3 GB) is a test.

use serde::{Deserialize, Serialize};

/// Concurrent users that one worker serves (the guide: "1 worker ~= 6 concurrent users").
pub const USERS_PER_WORKER: u64 = 6;
/// Memory of a worker while it serves light requests, in MiB (the guide: 150 MB).
pub const LIGHT_MIB: u64 = 150;
/// Memory of a worker while it serves heavy requests, in MiB (the guide: 1 GB, reckoned as 1024).
pub const HEAVY_MIB: u64 = 1024;
/// Share of heavy requests, in percent (the guide: 20 %).
pub const HEAVY_PERCENT: u64 = 20;

/// More of anything than this is a slip of the pen; figures are cut to it, so that nothing can overflow.
const LIMIT: u64 = 1 << 32;

/// What the arithmetic starts from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Input {
    /// Processors that may be used.
    pub cpus: u64,
    /// Memory that may be used, in MiB; 0 when it is not known, and then it limits nothing.
    pub memory_mib: u64,
    /// Concurrent users expected; 0 when it is not known, and then as many workers as the processors allow.
    pub users: u64,
    /// Workers for timed jobs, besides those for requests.
    pub cron_workers: u64,
    /// Share of heavy requests, in percent.
    pub heavy_percent: u64,
    /// Memory of one worker, in MiB, for an application that is lighter than an ERP; instead of the mix of light
    /// and heavy requests. 0 means the mix.
    pub worker_mib: u64,
    /// `sqlite`, `postgresql`, `mariadb`, or nothing when it runs elsewhere.
    pub database: String,
    /// `redis`, `rabbitmq`, or nothing when it is embedded or runs elsewhere.
    pub broker: String,
    /// Memory kept for something else that runs here, in MiB.
    pub reserve_mib: u64,
    /// A fixed number of workers for requests, instead of the calculated one; 0 for none.
    pub chosen: u64,
}

impl Default for Input {
    fn default() -> Self {
        Self {
            cpus: 1,
            memory_mib: 0,
            users: 0,
            cron_workers: 1,
            heavy_percent: HEAVY_PERCENT,
            worker_mib: 0,
            database: String::new(),
            broker: String::new(),
            reserve_mib: 0,
            chosen: 0,
        }
    }
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sizing {
    /// Processors that may be used, at least 1.
    pub cpus: u64,
    /// Memory that may be used, in MiB; 0 when it is not known.
    pub memory_mib: u64,
    /// Concurrent users expected; 0 when it is not known.
    pub users: u64,
    /// Workers for requests, as many as are advised.
    pub workers: u64,
    /// Workers for requests, as many as will run: those that someone chose, else those advised.
    pub chosen: u64,
    /// Workers for timed jobs.
    pub cron_workers: u64,
    /// All that will run.
    pub all_workers: u64,
    /// Workers that the users need.
    pub wanted: u64,
    /// Workers, timed jobs included, that the processors allow.
    pub cpu_limit: u64,
    /// Workers, timed jobs included, that the memory allows.
    pub memory_limit: u64,
    /// Memory that one worker needs, on average, in MiB.
    pub worker_mib: u64,
    /// Memory that all workers that will run need, in MiB.
    pub workers_mib: u64,
    /// Memory kept for everything else.
    pub reserves: Vec<Reserve>,
    /// The sum of the reserves, in MiB.
    pub reserved_mib: u64,
    /// Memory that is left, in MiB; 0 also when it is not known how much there is.
    pub spare_mib: u64,
    /// Concurrent users that the workers for requests that will run serve.
    pub users_served: u64,
    /// The reckoning, line by line: the users, the processors, then (where the memory is known) what is left for
    /// workers and how many fit, and at last those that will run and their memory.
    pub arithmetic: Vec<String>,
    /// Things to know.
    pub warnings: Vec<String>,
}

/// Memory kept free of workers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reserve {
    /// For what.
    pub what: String,
    /// How much, in MiB.
    pub mib: u64,
    /// Why so much.
    pub reason: String,
}

/// Reckons how many workers to run. Takes any input, and always gives at least one worker.
pub fn size_workers(input: &Input) -> Sizing {
    let cpus = input.cpus.clamp(1, LIMIT);
    let memory = input.memory_mib.min(LIMIT);
    let users = input.users.min(LIMIT);
    let cron_workers = input.cron_workers.min(LIMIT);
    let cost = Cost::of(input);
    let mut sizing =
        Sizing { cpus, memory_mib: memory, users, cron_workers, worker_mib: cost.of_workers(1), ..Sizing::default() };

    sizing.cpu_limit = 2 * cpus + 1;
    sizing.wanted = if users == 0 {
        sizing.say("users not known: as many workers as the processors allow".to_owned());
        sizing.cpu_limit
    } else {
        let wanted = users.div_ceil(USERS_PER_WORKER);
        sizing.say(format!("{} users / {USERS_PER_WORKER} per worker = {} wanted", grouped(users), grouped(wanted)));
        wanted
    };
    let cpu_limit = sizing.cpu_limit;
    sizing.say(format!("2 x {} CPU + 1 = {} at most", grouped(cpus), grouped(cpu_limit)));

    sizing.reserves = reserves(memory, input);
    sizing.reserved_mib = sizing.reserves.iter().map(|reserve| reserve.mib).sum();
    sizing.memory_limit = if memory == 0 { LIMIT } else { cost.workers_in(memory.saturating_sub(sizing.reserved_mib)) };
    if memory > 0 {
        let parts: Vec<String> =
            sizing.reserves.iter().map(|reserve| format!("{} {}", grouped(reserve.mib), reserve.what)).collect();
        let (left, limit) = (memory.saturating_sub(sizing.reserved_mib), sizing.memory_limit);
        let minus = parts.join(" - ");
        sizing.say(format!("{} MiB - {minus} = {} for workers", grouped(memory), grouped(left)));
        sizing.say(format!("{} MiB / {} = {} workers fit", grouped(left), cost.shown, grouped(limit)));
    }

    let limit = sizing.cpu_limit.min(sizing.memory_limit);
    sizing.workers = sizing.wanted.min(limit.saturating_sub(cron_workers)).max(1);
    sizing.chosen = if input.chosen == 0 { sizing.workers } else { input.chosen.min(LIMIT) };
    sizing.all_workers = sizing.chosen + cron_workers;
    sizing.workers_mib = cost.of_workers(sizing.all_workers);
    sizing.users_served = sizing.chosen * USERS_PER_WORKER;
    sizing.spare_mib = memory.saturating_sub(sizing.reserved_mib).saturating_sub(sizing.workers_mib);
    let (workers, all, mib) = (sizing.chosen, sizing.all_workers, sizing.workers_mib);
    let chosen = if workers == sizing.workers { "" } else { "chosen " };
    sizing.say(format!("{} {chosen}workers + {} for cron = {}", grouped(workers), grouped(cron_workers), grouped(all)));
    sizing.say(format!("{} x {} = {} MiB", grouped(all), cost.shown, grouped(mib)));
    sizing.warn(input);
    sizing
}

impl Sizing {
    fn say(&mut self, line: String) {
        self.arithmetic.push(line);
    }

    /// Memory that is needed, in MiB: that of the workers that will run, and what is kept for everything else.
    pub fn needed_mib(&self) -> u64 {
        self.reserved_mib + self.workers_mib
    }

    /// Memory that is needed and not there, in MiB: the server would swap.
    pub fn missing_mib(&self) -> u64 {
        if self.memory_mib == 0 { 0 } else { self.needed_mib().saturating_sub(self.memory_mib) }
    }

    fn warn(&mut self, input: &Input) {
        let mut warnings = Vec::new();
        // One way to count in every note: workers for requests, as they are asked for; those for cron beside.
        let cron =
            if self.cron_workers > 0 { format!(" and {} for cron", grouped(self.cron_workers)) } else { String::new() };
        let counted = |workers: u64| format!("{} workers{cron}", grouped(workers));
        let needed = grouped(self.needed_mib());
        let memory = grouped(self.memory_mib);
        if input.cpus == 0 {
            warnings.push("the number of processors is unknown; 1 assumed".to_owned());
        }
        if self.missing_mib() > 0 && self.chosen > self.workers {
            warnings.push(format!(
                "{} need {needed} MiB with everything else, and there are {memory}: the server would swap",
                counted(self.chosen)
            ));
        } else if self.missing_mib() > 0 {
            warnings.push(format!(
                "{memory} MiB of memory are too few: even the fewest workers need {needed} MiB; the server may swap"
            ));
        } else if self.memory_limit < self.cpu_limit.min(self.wanted + self.cron_workers) {
            warnings.push(format!("memory, not the processors, limits this to {}", counted(self.workers)));
        }
        if self.chosen > self.workers && self.all_workers > self.cpu_limit {
            warnings.push(format!("{} are more than the processors can keep busy", counted(self.chosen)));
        }
        if self.chosen > self.workers
            && let Some(last) = warnings.last_mut()
        {
            *last = format!("{last}; {} are advised", grouped(self.workers));
        }
        if self.users > self.users_served {
            let remedy = if self.chosen < self.workers { "use more workers" } else { "use a larger server" };
            warnings.push(format!(
                "{} workers serve about {} concurrent users, not {}; expect waiting, or {remedy}",
                grouped(self.chosen),
                grouped(self.users_served),
                grouped(self.users)
            ));
        }
        if input.heavy_percent > 100 {
            warnings.push("a share of heavy requests above 100 % counts as 100 %".to_owned());
        }
        self.warnings = warnings;
    }
}

/// What a worker costs, in hundredths of a MiB, so that the shares stay exact.
struct Cost {
    hundredths: u64,
    shown: String,
}

impl Cost {
    fn of(input: &Input) -> Self {
        if input.worker_mib > 0 {
            let mib = input.worker_mib.min(LIMIT);
            return Self { hundredths: mib * 100, shown: grouped(mib) };
        }
        let heavy = input.heavy_percent.min(100);
        let light = 100 - heavy;
        let share = |percent: u64| format!("{}.{:02}", percent / 100, percent % 100);
        Self {
            hundredths: light * LIGHT_MIB + heavy * HEAVY_MIB,
            shown: format!("({} x {LIGHT_MIB} + {} x {HEAVY_MIB})", share(light), share(heavy)),
        }
    }

    /// To the nearest MiB.
    fn of_workers(&self, count: u64) -> u64 {
        count.saturating_mul(self.hundredths).saturating_add(50) / 100
    }

    fn workers_in(&self, mib: u64) -> u64 {
        mib * 100 / self.hundredths.max(1)
    }
}

/// What is kept for the system and the engines beside the workers.
///
/// Smaller machines keep less, because the engines' caches are set smaller there; the figures are resident sizes of
/// Debian's default configurations, rounded up, not limits that the engines enforce.
fn reserves(memory: u64, input: &Input) -> Vec<Reserve> {
    let quarter = memory / 4;
    let reserve =
        |what: &str, mib: u64, reason: &str| Reserve { what: what.to_owned(), mib, reason: reason.to_owned() };
    let mut reserves = vec![reserve(
        "system",
        (memory / 10).clamp(192, 1024),
        "kernel, page cache, web server, SSH: a tenth of the memory, 192 MiB to 1 GiB",
    )];
    match input.database.as_str() {
        "postgresql" => reserves.push(reserve(
            "database",
            quarter.clamp(192, 8192),
            "PostgreSQL: its manual advises a quarter of the memory for shared_buffers; the default of 128 MiB and a few connections need 192 MiB",
        )),
        "mariadb" => reserves.push(reserve(
            "database",
            quarter.clamp(256, 8192),
            "MariaDB: buffer pool of 128 MiB by default, and about as much for the server and its connections",
        )),
        "sqlite" => reserves.push(reserve("database", 16, "SQLite: lives in the workers; a page cache of 2 MB each")),
        _ => {}
    }
    match input.broker.as_str() {
        "redis" => reserves.push(reserve("broker", 64, "Redis: a few MiB, and twice its data while it saves")),
        "rabbitmq" => reserves.push(reserve("broker", 256, "RabbitMQ: the Erlang VM takes 100 to 150 MiB idle")),
        _ => {}
    }
    if input.reserve_mib > 0 {
        reserves.push(reserve("other", input.reserve_mib.min(LIMIT), "asked for"));
    }
    reserves
}

/// A number with its thousands set apart: `2,923`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_are_grouped_by_thousands() {
        assert_eq!([0, 999, 1204, 1_048_576].map(grouped), ["0", "999", "1,204", "1,048,576"]);
    }

    #[test]
    fn the_guides_own_example_comes_out() {
        let sizing = size_workers(&Input { cpus: 4, memory_mib: 16 * 1024, users: 60, ..Input::default() });
        assert_eq!((sizing.wanted, sizing.cpu_limit), (10, 9));
        assert_eq!((sizing.workers, sizing.cron_workers, sizing.all_workers), (8, 1, 9));
        // 9 x 324.8 = 2923.2: "about 3 GB".
        assert_eq!(sizing.workers_mib, 2923);
        for line in [
            "60 users / 6 per worker = 10 wanted",
            "2 x 4 CPU + 1 = 9 at most",
            "8 workers + 1 for cron = 9",
            "9 x (0.80 x 150 + 0.20 x 1024) = 2,923 MiB",
        ] {
            assert!(sizing.arithmetic.iter().any(|said| said == line), "{line}: {:#?}", sizing.arithmetic);
        }
        // 8 workers serve 48 users, and the guide accepts that; the reader shall know.
        assert_eq!(sizing.warnings.len(), 1);
        assert!(sizing.warnings[0].contains("48 concurrent users, not 60"));
    }

    #[test]
    fn few_users_need_few_workers() {
        let sizing = size_workers(&Input { cpus: 16, memory_mib: 64 * 1024, users: 7, ..Input::default() });
        assert_eq!((sizing.workers, sizing.warnings.len()), (2, 0));
    }

    #[test]
    fn memory_keeps_room_for_the_system_the_database_and_the_broker() {
        let input = Input {
            cpus: 4,
            memory_mib: 2048,
            users: 60,
            database: "postgresql".into(),
            broker: "rabbitmq".into(),
            ..Input::default()
        };
        let sizing = size_workers(&input);
        // 2048 - 204 - 512 - 256 = 1076, and 1076 / 324.8 = 3.
        assert_eq!((sizing.reserved_mib, sizing.memory_limit, sizing.workers), (972, 3, 2));
        assert!(sizing.reserved_mib + sizing.workers_mib <= 2048);
        assert_eq!(sizing.spare_mib, 2048 - 972 - 974);
        assert!(sizing.warnings[0].contains("memory, not the processors"), "{:?}", sizing.warnings);
    }

    #[test]
    fn a_light_application_is_not_sized_like_an_erp() {
        let input = Input { cpus: 2, memory_mib: 1024, worker_mib: 40, cron_workers: 0, ..Input::default() };
        let sizing = size_workers(&input);
        assert_eq!((sizing.workers, sizing.worker_mib, sizing.workers_mib), (5, 40, 200));
        assert!(sizing.arithmetic.contains(&"5 x 40 = 200 MiB".to_owned()), "{:?}", sizing.arithmetic);
    }

    #[test]
    fn too_small_a_machine_gets_one_worker_and_a_warning() {
        let sizing = size_workers(&Input { cpus: 0, memory_mib: 256, users: 0, ..Input::default() });
        assert_eq!(sizing.workers, 1);
        assert_eq!(sizing.warnings.len(), 2, "{:?}", sizing.warnings);
    }

    #[test]
    fn workers_that_somebody_chose_are_reckoned_and_judged() {
        let input =
            |chosen| Input { cpus: 2, memory_mib: 4096, users: 20, cron_workers: 0, chosen, ..Input::default() };
        let advised = size_workers(&input(0));
        assert_eq!((advised.workers, advised.chosen, advised.warnings.len()), (4, 4, 0));
        assert_eq!(size_workers(&input(4)), advised);
        // 3,687 MiB for workers of 324.8 MiB: 11 fit.
        let many = size_workers(&input(12));
        assert_eq!((many.workers, many.chosen, many.all_workers, many.users_served), (4, 12, 12, 72));
        assert_eq!(many.missing_mib(), 409 + 3898 - 4096);
        assert!(many.arithmetic.contains(&"12 chosen workers + 0 for cron = 12".to_owned()), "{:?}", many.arithmetic);
        assert!(many.warnings[0].ends_with("would swap"), "{:?}", many.warnings);
        assert_eq!(many.warnings[1], "12 workers are more than the processors can keep busy; 4 are advised");
        let few = size_workers(&input(1));
        assert_eq!(few.missing_mib(), 0);
        assert_eq!(
            few.warnings,
            ["1 workers serve about 6 concurrent users, not 20; expect waiting, or use more workers"]
        );
    }

    #[test]
    fn every_note_counts_workers_in_the_same_way() {
        let notes = |input: Input| size_workers(&input).warnings.join(" | ");
        let erp = Input { cpus: 2, memory_mib: 16_384, users: 60, cron_workers: 1, ..Input::default() };
        let busy = notes(Input { chosen: 8, ..erp.clone() });
        assert_eq!(
            busy.split(" | ").next().unwrap_or(""),
            "8 workers and 1 for cron are more than the processors can keep busy; 4 are advised"
        );
        let little = notes(Input { memory_mib: 2_048, cpus: 8, ..erp.clone() });
        assert!(little.contains("limits this to 4 workers and 1 for cron"), "{little}");
        let swaps = notes(Input { memory_mib: 2_048, cpus: 8, chosen: 9, ..erp });
        assert!(
            swaps.contains("9 workers and 1 for cron need 3,452 MiB") && swaps.contains("; 4 are advised"),
            "{swaps}"
        );
    }

    #[test]
    fn templates_see_the_locals_by_name() {
        let value = serde_json::to_value(size_workers(&Input { cpus: 2, ..Input::default() })).unwrap();
        assert_eq!(value["workers"], 4);
        assert_eq!(value["memory_limit"], LIMIT);
        assert!(value["arithmetic"].is_array());
    }

    proptest! {
        #[test]
        fn any_input_gives_sane_figures(
            cpus: u64, memory_mib: u64, users: u64, cron_workers: u64, heavy_percent: u64, worker_mib: u64,
            chosen in prop_oneof![Just(0), any::<u64>()],
        ) {
            let input =
                Input { cpus, memory_mib, users, cron_workers, heavy_percent, worker_mib, chosen, ..Input::default() };
            let sizing = size_workers(&input);
            prop_assert!(sizing.workers >= 1 && sizing.chosen >= 1);
            prop_assert!(chosen > 0 || sizing.workers == 1 || sizing.all_workers <= sizing.cpu_limit);
        }

        #[test]
        fn a_machine_with_room_for_two_workers_never_swaps(
            cpus in 1_u64..256, memory_mib in 1024_u64..1_000_000, users in 0_u64..100_000,
            database in prop::sample::select(vec!["", "sqlite", "postgresql", "mariadb"]),
        ) {
            let input = Input { cpus, memory_mib, users, database: database.to_owned(), ..Input::default() };
            let sizing = size_workers(&input);
            let fits = sizing.reserved_mib + sizing.workers_mib <= memory_mib;
            prop_assert!(fits || sizing.memory_limit < 2);
        }
    }
}
