//! Servers of a few lines that remember what they were sent.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// What arrived at a server, connection after connection.
#[derive(Clone, Default)]
pub struct Heard(Arc<Mutex<Vec<String>>>);

impl Heard {
    /// The heads of all requests, in one text.
    pub fn text(&self) -> String {
        self.0.lock().unwrap().join("\n")
    }

    /// How many connections were opened.
    pub fn connections(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    fn open(&self) -> usize {
        let mut heard = self.0.lock().unwrap();
        heard.push(String::new());
        heard.len() - 1
    }

    fn add(&self, connection: usize, bytes: &[u8]) {
        self.0.lock().unwrap()[connection].push_str(&String::from_utf8_lossy(bytes));
    }
}

/// Serves `answer`, which gets `METHOD /path` and gives a whole HTTP answer.
pub fn serve(listener: TcpListener, answer: impl Fn(&str) -> String + Send + Sync + 'static) -> Heard {
    let (heard, answer) = (Heard::default(), Arc::new(answer));
    let hears = heard.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let (heard, answer) = (hears.clone(), Arc::clone(&answer));
            tokio::spawn(async move {
                let Some(head) = read_request(&mut stream).await else { return };
                let connection = heard.open();
                heard.add(connection, head.as_bytes());
                let line = head.split(" HTTP/").next().unwrap_or_default().to_owned();
                stream.write_all(answer(&line).as_bytes()).await.unwrap_or_default();
                stream.shutdown().await.unwrap_or_default();
            });
        }
    });
    heard
}

/// An answer with a JSON body, and more header lines if need be.
pub fn json(status: u16, headers: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n{headers}\r\n{body}"
    )
}

/// Passes bytes on to another port of loopback, remembering those that come in.
pub fn forward(listener: TcpListener, to: u16) -> Heard {
    let heard = Heard::default();
    let hears = heard.clone();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let heard = hears.clone();
            tokio::spawn(async move {
                let connection = heard.open();
                let server = TcpStream::connect(("127.0.0.1", to)).await.unwrap();
                let (mut from_client, mut to_client) = client.into_split();
                let (mut from_server, mut to_server) = server.into_split();
                let back = tokio::io::copy(&mut from_server, &mut to_client);
                let there = async {
                    let mut bytes = [0; 4096];
                    while let Ok(count @ 1..) = from_client.read(&mut bytes).await {
                        heard.add(connection, &bytes[..count]);
                        to_server.write_all(&bytes[..count]).await.unwrap();
                    }
                };
                tokio::select! {
                    _ = back => {}
                    () = there => {}
                }
            });
        }
    });
    heard
}

/// Reads a request with its body, so that the answer does not meet a client that still sends; gives the head.
async fn read_request(stream: &mut (impl AsyncRead + Unpin)) -> Option<String> {
    let mut request = Vec::new();
    let end = loop {
        if let Some(end) = request.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            break end;
        }
        if stream.read_buf(&mut request).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8_lossy(&request[..end]).into_owned();
    let lower = head.to_ascii_lowercase();
    let length = lower.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<usize>().ok());
    while request.len() < end + 4 + length.unwrap_or_default() {
        if stream.read_buf(&mut request).await.ok()? == 0 {
            return None;
        }
    }
    Some(head)
}
