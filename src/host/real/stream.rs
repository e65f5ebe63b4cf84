//! Connections with a deadline and a size limit for the whole exchange: a server that sends a byte now and then, or
//! endlessly, would otherwise block its client.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};

use crate::host::{Address, Duplex};

/// A whole exchange may take so many times what one answer may.
const PATIENCE: u32 = 4;
/// All that a server may send in one exchange.
const READ_AT_MOST: u64 = 8 << 20;

/// Connects within `timeout`, which each answer may take, too.
pub(super) fn open(address: &Address, timeout: Duration) -> io::Result<Box<dyn Duplex>> {
    Ok(match address {
        Address::Tcp(address) => {
            let stream = TcpStream::connect_timeout(address, timeout)?;
            Box::new(Exchange::new(stream, timeout, |stream, limit| {
                stream.set_read_timeout(Some(limit))?;
                stream.set_write_timeout(Some(limit))
            }))
        }
        Address::Unix(path) => Box::new(Exchange::new(unix(path, timeout)?, timeout, |stream, limit| {
            stream.set_read_timeout(Some(limit))?;
            stream.set_write_timeout(Some(limit))
        })),
    })
}

/// Connecting waits while the server's queue is full: the time-out for sending holds for that, too.
fn unix(path: &Path, timeout: Duration) -> io::Result<UnixStream> {
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    rustix::net::sockopt::set_socket_timeout(&socket, rustix::net::sockopt::Timeout::Send, Some(timeout))?;
    connect(&socket, &SocketAddrUnix::new(path)?)?;
    Ok(socket.into())
}

struct Exchange<S> {
    stream: S,
    /// How long one answer may take.
    timeout: Duration,
    until: Instant,
    left: u64,
    limit: fn(&S, Duration) -> io::Result<()>,
}

impl<S> Exchange<S> {
    fn new(stream: S, timeout: Duration, limit: fn(&S, Duration) -> io::Result<()>) -> Self {
        Self { stream, timeout, until: Instant::now() + timeout * PATIENCE, left: READ_AT_MOST, limit }
    }

    fn wait_at_most(&self) -> io::Result<()> {
        let left = self.until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(self.too_long());
        }
        (self.limit)(&self.stream, left.min(self.timeout))
    }
}

impl<S> Exchange<S> {
    fn too_long(&self) -> io::Error {
        let seconds = (self.timeout * PATIENCE).as_secs();
        io::Error::other(format!("the exchange took longer than {seconds} s in total"))
    }

    /// Of two limits the one that was reached.
    fn told<T>(&self, result: io::Result<T>) -> io::Result<T> {
        let late = matches!(&result, Err(e) if e.kind() == io::ErrorKind::WouldBlock) && Instant::now() >= self.until;
        if late { Err(self.too_long()) } else { result }
    }
}

impl<S: Read> Read for Exchange<S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.wait_at_most()?;
        if self.left == 0 {
            return Err(io::Error::other("the server sent more than 8 MiB"));
        }
        let read = self.stream.read(buffer);
        let count = self.told(read)?;
        self.left = self.left.saturating_sub(count as u64);
        Ok(count)
    }
}

impl<S: Write> Write for Exchange<S> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.wait_at_most()?;
        let written = self.stream.write(buffer);
        self.told(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::net::TcpListener;
    use std::thread;

    use super::*;

    fn against(serve: impl Fn(TcpStream) + Send + 'static, timeout: Duration) -> io::Result<usize> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = Address::Tcp(listener.local_addr().unwrap());
        thread::spawn(move || serve(listener.accept().unwrap().0));
        io::copy(&mut open(&address, timeout)?, &mut io::sink()).map(|count| usize::try_from(count).unwrap())
    }

    #[test]
    fn a_server_that_sends_a_byte_now_and_then_holds_nobody() {
        let drip = |mut stream: TcpStream| {
            while stream.write_all(b"x").is_ok() {
                thread::sleep(Duration::from_millis(20));
            }
        };
        let why = against(drip, Duration::from_millis(500)).unwrap_err().to_string();
        assert!(why.contains("longer than 2 s in total"), "{why}");
    }

    #[test]
    fn a_server_that_floods_is_left() {
        let flood = |mut stream: TcpStream| while stream.write_all(&[b'x'; 8192]).is_ok() {};
        let why = against(flood, Duration::from_secs(20)).unwrap_err().to_string();
        assert!(why.contains("more than 8 MiB"), "{why}");
    }

    #[test]
    fn a_server_that_says_what_it_has_to_is_heard() {
        let polite = |mut stream: TcpStream| stream.write_all(b"hello").unwrap();
        assert_eq!(against(polite, Duration::from_secs(5)).unwrap(), 5);
    }
}
