//! Several proofs at once: most of their time is waiting.
//!
//! Proofs that depend on no other ([`Prove::independent`]) are tried side by side; the others follow one another in
//! their order, beside them. Results are handed out in the order of the plan.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError, mpsc};
use std::time::Duration;

use super::{Context, Proof};
use crate::error::Outcome;
use crate::host::Stamp;

/// How long proofs are tried.
#[derive(Clone, Copy, Debug)]
pub enum Patience {
    /// Each as long as its kind says, from its own beginning.
    Each,
    /// All of them from this time on, none longer than this.
    Shared(Stamp, Duration),
}

/// The result of a proof, and how long it took in milliseconds.
pub type Tried = (Outcome<String>, u64);

/// Tries `proofs` while `take` asks for their results one after the other, by index. Proofs that `take` does not ask
/// for are given up when it returns.
pub fn prove_all<T>(
    cx: &Context<'_>,
    proofs: &[&Proof],
    patience: Patience,
    take: impl FnOnce(&mut dyn FnMut(usize) -> Tried) -> T,
) -> T {
    let threads = cx.host.parallelism();
    let over = AtomicBool::new(false);
    let one = |at: usize| tried(cx, proofs[at], patience, &over);
    if threads < 2 {
        return take(&mut |at| one(at));
    }
    let (independent, others): (VecDeque<usize>, VecDeque<usize>) =
        (0..proofs.len()).partition(|at| proofs[*at].prover().independent());
    let threads = threads.min(independent.len());
    let (independent, others) = (Mutex::new(independent), Mutex::new(others));
    let (sender, results) = mpsc::channel();
    let work = |list: &Mutex<VecDeque<usize>>, sender: &mpsc::Sender<(usize, Tried)>| {
        let next = || list.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        while let Some(at) = next().filter(|_| !over.load(Ordering::Relaxed)) {
            // Nobody asks for it any more.
            let _ = sender.send((at, one(at)));
        }
    };
    std::thread::scope(|scope| {
        let (work, others, independent) = (&work, &others, &independent);
        let in_order = sender.clone();
        scope.spawn(move || work(others, &in_order));
        for _ in 0..threads {
            let sender = sender.clone();
            scope.spawn(move || work(independent, &sender));
        }
        let mut known = BTreeMap::new();
        let taken = take(&mut |at| {
            loop {
                if let Some(tried) = known.remove(&at) {
                    return tried;
                }
                // `sender` lives as long as this loop: the channel is never closed before.
                if let Ok((at, tried)) = results.recv() {
                    known.insert(at, tried);
                }
            }
        });
        over.store(true, Ordering::Relaxed);
        taken
    })
}

/// Tries until it succeeds, or no time is left; then returns the last failure. It is tried at least once.
fn tried(cx: &Context<'_>, proof: &Proof, patience: Patience, over: &AtomicBool) -> Tried {
    let prover = proof.prover();
    let begun = cx.host.now();
    let (start, limit) = match patience {
        Patience::Each => (begun, prover.retry_for()),
        Patience::Shared(start, limit) => (start, prover.retry_for().min(limit)),
    };
    let mut pause = Duration::from_millis(50);
    let result = loop {
        let last = match prover.prove(cx) {
            Ok(evidence) => break Ok(evidence),
            Err(failure) => failure,
        };
        if cx.host.now().since(start) >= limit || over.load(Ordering::Relaxed) {
            break Err(last);
        }
        cx.host.sleep(pause);
        pause = (pause * 2).min(Duration::from_secs(2));
    };
    (result, u64::try_from(cx.host.now().since(begun).as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::disallowed_methods)]

    use std::io::{Read as _, Write as _};

    use super::*;
    use crate::host::Host;
    use crate::host::fake::FakeHost;
    use crate::host::real::RealHost;
    use crate::secret::Secrets;

    fn proof(text: &str) -> Proof {
        serde_json::from_str(text).unwrap()
    }

    fn closed(port: u16) -> Proof {
        proof(&format!(r#"{{"tcp": {{"protocol": "redis", "host": "127.0.0.1", "port": {port}}}}}"#))
    }

    fn results(host: &dyn Host, proofs: &[Proof], patience: Patience) -> Vec<Tried> {
        let secrets = Secrets::default();
        let proofs: Vec<&Proof> = proofs.iter().collect();
        let cx = Context { host, secrets: &secrets };
        prove_all(&cx, &proofs, patience, |result| (0..proofs.len()).map(&mut *result).collect())
    }

    #[test]
    fn proofs_that_share_a_timeout_wait_for_it_once() {
        let host = FakeHost::debian("bookworm");
        let start = host.now();
        let waited = || host.now().since(start).as_secs();
        let proofs = [closed(1), closed(2)];
        results(&host, &proofs, Patience::Shared(start, Duration::from_secs(5)));
        assert!((5..8).contains(&waited()), "{}", waited());
        results(&host, &proofs, Patience::Each);
        assert!(waited() >= 5 + 60, "each has its own: {}", waited());
    }

    #[test]
    fn no_proof_is_tried_longer_than_its_kind_says() {
        let host = FakeHost::debian("bookworm");
        let start = host.now();
        let never = proof(r#"{"command": {"describe": "x", "run": ["false"]}}"#);
        results(&host, &[never], Patience::Shared(start, Duration::from_mins(10)));
        assert!(host.now().since(start) < Duration::from_secs(1));
    }

    /// Answers two requests when both have come.
    fn answering_only_both() -> u16 {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            let mut both: Vec<std::net::TcpStream> = (0..2).map(|_| listener.accept().unwrap().0).collect();
            for stream in &mut both {
                let mut request = [0; 1024];
                assert!(stream.read(&mut request).unwrap() > 0);
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok").unwrap();
            }
        });
        port
    }

    fn passed(tried: &[Tried]) -> Vec<bool> {
        tried.iter().map(|(result, _)| result.is_ok()).collect()
    }

    #[test]
    fn independent_proofs_do_not_wait_for_each_other() {
        let url = format!("http://127.0.0.1:{}/", answering_only_both());
        let page = proof(&format!(r#"{{"http": {{"url": "{url}"}}}}"#));
        let host = RealHost::default();
        let patience = Patience::Shared(host.now(), Duration::ZERO);
        assert_eq!(passed(&results(&host, &[page.clone(), page], patience)), [true, true]);
    }

    #[test]
    fn the_others_follow_one_another_and_results_come_in_the_order_of_the_plan() {
        let dir = std::env::temp_dir().join(format!("bringup-lanes-{}", std::process::id()));
        let script =
            |script: &str| proof(&format!(r#"{{"command": {{"describe": "x", "run": ["sh", "-c", "{script}"]}}}}"#));
        let first = script(&format!("sleep 0.2; mkdir {}", dir.display()));
        let last = script(&format!("rmdir {}", dir.display()));
        let host = RealHost::default();
        let patience = Patience::Shared(host.now(), Duration::ZERO);
        let tried = results(&host, &[first, closed(1), last, script("exit 1")], patience);
        assert_eq!(passed(&tried), [true, false, true, false]);
    }
}
