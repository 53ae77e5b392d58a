//! What the native gateway adds to a request: `bench TOLLGATE [PART]`, where TOLLGATE is the program to measure. PART
//! leaves out the rows in whose name it does not stand.
//!
//! Every request is sent straight to a scripted upstream and, next, through the gateway to the same upstream, so both
//! see the same machine. Prints figures and judges nothing. Client and upstream are plain blocking sockets: what they
//! cost is small, and the same on both sides.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

fn main() -> io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let Some(program) = arguments.next() else {
        return Err(io::Error::other("usage: bench TOLLGATE [PART]"));
    };
    let part = arguments.next().unwrap_or_default();
    let upstream = upstream()?;
    let gateway = Gateway::start(&program, upstream)?;
    let cores = thread::available_parallelism()?;
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    println!("{cores} cores, load average {}", load.split(' ').next().unwrap_or("unknown"));
    println!("\nmilliseconds: median over the rounds (least-most median of a round)\n");
    println!("{:<48} {:>22} {:>22} {:>8} {:>6}  goal", "", "direct", "gateway", "added", "ratio");
    for case in CASES.iter().filter(|case| case.name.contains(&part)) {
        case.measure(upstream, gateway.address)?;
    }
    println!("\nrequests per second at concurrency {CLIENTS}: median over the rounds (least-most)\n");
    for case in LOADS.iter().filter(|case| case.name.contains(&part)) {
        case.load(upstream, gateway.address)?;
    }
    Ok(())
}

/// One kind of request, and what the gateway may add to it.
struct Case {
    name: &'static str,
    /// As the caller sends it to the gateway.
    path: &'static str,
    /// `provider/model`; the model is the upstream's script.
    model: &'static str,
    prompt_bytes: usize,
    /// Milliseconds that are to be added at most, where there is a goal.
    goal: Option<f64>,
    rounds: usize,
    requests: usize,
}

const OPENAI: &str = "/v1/chat/completions";
const ANTHROPIC: &str = "/v1/messages";

const PLAIN: Case =
    Case { name: "", path: OPENAI, model: "", prompt_bytes: 1024, goal: None, rounds: 15, requests: 100 };
const PACED: Case = Case { rounds: 7, requests: 15, ..PLAIN };

const CASES: &[Case] = &[
    Case { name: "plain, 1 KB, openai", model: "openai/plain", goal: Some(0.3), ..PLAIN },
    Case { name: "plain, 1 KB, anthropic", path: ANTHROPIC, model: "anthropic/plain", goal: Some(0.3), ..PLAIN },
    Case { name: "plain, 1 KB, openai to anthropic", model: "anthropic/plain", goal: Some(0.3), ..PLAIN },
    Case { name: "plain, 1 KB, anthropic to openai", path: ANTHROPIC, model: "openai/plain", goal: Some(0.3), ..PLAIN },
    Case { name: "20 chunks at once, openai", model: "openai/burst", goal: Some(0.5), ..PLAIN },
    Case { name: "20 chunks at once, openai to anthropic", model: "anthropic/burst", goal: Some(0.5), ..PLAIN },
    Case {
        name: "20 chunks at once, anthropic to openai",
        path: ANTHROPIC,
        model: "openai/burst",
        goal: Some(0.5),
        ..PLAIN
    },
    Case { name: "20 chunks 1 ms apart, openai", model: "openai/paced", goal: Some(0.5), ..PACED },
    Case { name: "20 chunks 1 ms apart, openai to anthropic", model: "anthropic/paced", goal: Some(0.5), ..PACED },
    Case {
        name: "plain, 400 KB, openai",
        model: "openai/plain",
        prompt_bytes: 400 * 1024,
        goal: Some(1.0),
        requests: 30,
        ..PLAIN
    },
    Case {
        name: "plain, 400 KB, openai to anthropic",
        model: "anthropic/plain",
        prompt_bytes: 400 * 1024,
        requests: 30,
        ..PLAIN
    },
];

const LOADS: &[Case] = &[
    Case { name: "load of plain, 1 KB, openai", model: "openai/plain", ..PLAIN },
    Case { name: "load of 20 chunks at once, openai", model: "openai/burst", ..PLAIN },
];

impl Case {
    fn measure(&self, upstream: SocketAddr, gateway: SocketAddr) -> io::Result<()> {
        let (direct, through) = self.requests();
        let mut direct = Caller::connect(upstream, direct)?;
        let mut through = Caller::connect(gateway, through)?;
        for _ in 0..20 {
            direct.send()?;
            through.send()?;
        }
        let (mut first, mut total) = (Rounds::default(), Rounds::default());
        for _ in 0..self.rounds {
            let mut taken = Vec::with_capacity(self.requests);
            for _ in 0..self.requests {
                taken.push((direct.send()?, through.send()?));
            }
            first.push(taken.iter().map(|(direct, through)| (direct.first, through.first)));
            total.push(taken.iter().map(|(direct, through)| (direct.total, through.total)));
        }
        if !self.model.ends_with("plain") {
            first.print(&format!("{}: first", self.name), None);
        }
        total.print(self.name, self.goal);
        Ok(())
    }

    fn load(&self, upstream: SocketAddr, gateway: SocketAddr) -> io::Result<()> {
        let (direct, through) = self.requests();
        let (mut straight, mut added) = (Vec::new(), Vec::new());
        for _ in 0..3 {
            straight.push(rate(upstream, &direct)?);
            added.push(rate(gateway, &through)?);
        }
        let ratio = median(&mut added) / median(&mut straight);
        let (straight, added) = (shown(&mut straight, 0), shown(&mut added, 0));
        println!("{:<48} {straight:>22} {added:>22} {ratio:>15.2}x", self.name);
        Ok(())
    }

    /// Straight to the upstream, and for the gateway.
    fn requests(&self) -> (Vec<u8>, Vec<u8>) {
        let (provider, script) = self.model.split_once('/').unwrap_or_default();
        let upstream_path = if provider == "openai" { OPENAI } else { ANTHROPIC };
        (request(upstream_path, script, self.prompt_bytes), request(self.path, self.model, self.prompt_bytes))
    }
}

/// The medians of each round, in milliseconds.
#[derive(Default)]
struct Rounds {
    direct: Vec<f64>,
    through: Vec<f64>,
}

impl Rounds {
    fn push(&mut self, taken: impl Iterator<Item = (Duration, Duration)>) {
        let ms = |duration: Duration| duration.as_secs_f64() * 1e3;
        let (mut direct, mut through): (Vec<f64>, Vec<f64>) =
            taken.map(|(direct, through)| (ms(direct), ms(through))).unzip();
        self.direct.push(median(&mut direct));
        self.through.push(median(&mut through));
    }

    fn print(mut self, name: &str, goal: Option<f64>) {
        let (direct, through) = (median(&mut self.direct), median(&mut self.through));
        println!(
            "{name:<48} {:>22} {:>22} {:>+8.3} {:>5.1}x  {}",
            shown(&mut self.direct, 3),
            shown(&mut self.through, 3),
            through - direct,
            through / direct,
            goal.map(|goal| format!("+{goal}")).unwrap_or_default(),
        );
    }
}

/// Sorts.
fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// `median (least-most)`
fn shown(values: &mut [f64], digits: usize) -> String {
    let median = median(values);
    let (least, most) = (values.first().unwrap_or(&median), values.last().unwrap_or(&median));
    format!("{median:.digits$} ({least:.digits$}-{most:.digits$})")
}

const CLIENTS: usize = 32;

/// Answers per second to [`CLIENTS`] callers that each send the next request when the last is answered.
fn rate(address: SocketAddr, request: &[u8]) -> io::Result<f64> {
    let over = AtomicBool::new(false);
    let began = Instant::now();
    let sent = thread::scope(|scope| {
        let callers: Vec<_> = (0..CLIENTS)
            .map(|_| {
                scope.spawn(|| -> io::Result<u32> {
                    let mut caller = Caller::connect(address, request.to_vec())?;
                    let mut sent = 0;
                    while !over.load(Ordering::Relaxed) {
                        caller.send()?;
                        sent += 1;
                    }
                    Ok(sent)
                })
            })
            .collect();
        thread::sleep(Duration::from_millis(1500));
        over.store(true, Ordering::Relaxed);
        callers
            .into_iter()
            .map(|caller| caller.join().unwrap_or_else(|_| Err(io::Error::other("a caller panicked"))))
            .sum::<io::Result<u32>>()
    })?;
    Ok(f64::from(sent) / began.elapsed().as_secs_f64())
}

/// A request with its head, for either dialect.
fn request(path: &str, model: &str, prompt_bytes: usize) -> Vec<u8> {
    let stream = !model.ends_with("plain");
    let prompt = "Tell me about \\\"bridges\\\" and tolls.\\n".repeat(prompt_bytes.div_ceil(38));
    let body = format!(
        r#"{{"model":"{model}","max_tokens":100,"stream":{stream},"messages":[{{"role":"user","content":"{prompt}"}}]}}"#
    );
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// A caller that keeps its connection.
struct Caller {
    socket: TcpStream,
    request: Vec<u8>,
    buffer: Vec<u8>,
}

/// Since the request was sent.
struct Taken {
    /// The first byte of the body.
    first: Duration,
    /// The end of the answer, by HTTP's word.
    total: Duration,
}

impl Caller {
    fn connect(address: SocketAddr, request: Vec<u8>) -> io::Result<Self> {
        let socket = TcpStream::connect(address)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(Duration::from_secs(10)))?;
        Ok(Self { socket, request, buffer: Vec::new() })
    }

    fn send(&mut self) -> io::Result<Taken> {
        self.buffer.clear();
        let began = Instant::now();
        self.socket.write_all(&self.request)?;
        let mut first = None;
        loop {
            let mut chunk = [0; 16 * 1024];
            let length = self.socket.read(&mut chunk)?;
            let arrived = began.elapsed();
            if length == 0 {
                return Err(io::Error::other("the answer broke off"));
            }
            self.buffer.extend_from_slice(chunk.get(..length).unwrap_or_default());
            let Some((head, body)) = split(&self.buffer) else { continue };
            if !body.is_empty() && first.is_none() {
                first = Some(arrived);
            }
            let over = match field(head, "content-length").and_then(|length| length.parse::<usize>().ok()) {
                Some(length) => body.len() >= length,
                None => body.ends_with(b"\r\n0\r\n\r\n"),
            };
            if over {
                if !head.starts_with("HTTP/1.1 200") || find(body, b"\"error\"").is_some() {
                    return Err(io::Error::other(String::from_utf8_lossy(&self.buffer).into_owned()));
                }
                return Ok(Taken { first: first.unwrap_or(arrived), total: arrived });
            }
        }
    }
}

/// Head and what follows it, once the head is there.
fn split(message: &[u8]) -> Option<(&str, &[u8])> {
    let end = find(message, b"\r\n\r\n")?;
    Some((std::str::from_utf8(message.get(..end)?).ok()?, message.get(end + 4..)?))
}

fn find(bytes: &[u8], part: &[u8]) -> Option<usize> {
    bytes.windows(part.len()).position(|window| window == part)
}

fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let mut fields = head.lines().filter_map(|line| line.split_once(':'));
    fields.find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
}

/// Starts a provider of both dialects; the name of the model says how it answers.
fn upstream() -> io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    thread::spawn(move || {
        for socket in listener.incoming().flatten() {
            // A connection that breaks is its caller's business.
            thread::spawn(move || answer_all(socket));
        }
    });
    Ok(address)
}

fn answer_all(mut socket: TcpStream) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let scripts = [Script::new(&OPENAI_ANSWER), Script::new(&ANTHROPIC_ANSWER)];
    let mut buffer = Vec::new();
    let mut chunk = vec![0; 256 * 1024];
    loop {
        let Some((head, body)) = split(&buffer) else {
            let length = socket.read(&mut chunk)?;
            if length == 0 {
                return Ok(());
            }
            buffer.extend_from_slice(chunk.get(..length).unwrap_or_default());
            continue;
        };
        let declared = field(head, "content-length").and_then(|length| length.parse::<usize>().ok()).unwrap_or(0);
        let whole = buffer.len() - body.len() + declared;
        let is_openai = head.contains("/chat/completions");
        while buffer.len() < whole {
            let length = socket.read(&mut chunk)?;
            buffer.extend_from_slice(chunk.get(..length).unwrap_or_default());
        }
        let [openai, anthropic] = &scripts;
        let script = if is_openai { openai } else { anthropic };
        // The model stands first, and a long prompt is not searched.
        let start = buffer.get(..whole.min(1024)).unwrap_or_default();
        if find(start, b"\"burst\"").is_some() {
            script.stream(&mut socket, Duration::ZERO)?;
        } else if find(start, b"\"paced\"").is_some() {
            script.stream(&mut socket, Duration::from_millis(1))?;
        } else {
            socket.write_all(&script.whole)?;
        }
        buffer.drain(..whole);
    }
}

/// What a provider answers, in the words of its dialect; `TEXT` is what the model says.
struct Words {
    whole: &'static str,
    before: &'static [&'static str],
    part: &'static str,
    after: &'static [&'static str],
}

const OPENAI_ANSWER: Words = Words {
    whole: r#"{"id":"chatcmpl-1","object":"chat.completion","created":1750000000,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"TEXT","refusal":null},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":200,"completion_tokens":100,"total_tokens":300,"prompt_tokens_details":{"cached_tokens":0},"completion_tokens_details":{"reasoning_tokens":0}}}"#,
    before: &[],
    part: "data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1750000000,\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"TEXT\"},\"logprobs\":null,\"finish_reason\":null}]}\n\n",
    after: &[
        "data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1750000000,\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{},\"logprobs\":null,\"finish_reason\":\"stop\"}]}\n\n",
        "data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1750000000,\"model\":\"m\",\"choices\":[],\"usage\":{\"prompt_tokens\":200,\"completion_tokens\":20,\"total_tokens\":220}}\n\ndata: [DONE]\n\n",
    ],
};

const ANTHROPIC_ANSWER: Words = Words {
    whole: r#"{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[{"type":"text","text":"TEXT"}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":200,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":100}}"#,
    before: &[
        "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"m\",\"content\":[],\"stop_reason\":null,\"stop_sequence\":null,\"usage\":{\"input_tokens\":200,\"output_tokens\":1}}}\n\nevent: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n",
    ],
    part: "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"TEXT\"}}\n\n",
    after: &[
        "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\nevent: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\",\"stop_sequence\":null},\"usage\":{\"output_tokens\":20}}\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
    ],
};

const PARTS: usize = 20;

/// The bytes of an answer, head included.
struct Script {
    whole: Vec<u8>,
    /// Each a write of its own.
    stream: Vec<Vec<u8>>,
}

impl Script {
    fn new(words: &Words) -> Self {
        let body = words.whole.replace("TEXT", &"A bridge asks for a toll. ".repeat(26));
        let length = body.len();
        let whole =
            format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}");
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
        let part = words.part.replace("TEXT", " bridge");
        let parts = words.before.iter().copied().chain([part.as_str(); PARTS]).chain(words.after.iter().copied());
        let mut stream = vec![head.as_bytes().to_vec()];
        stream.extend(parts.map(|part| format!("{:x}\r\n{part}\r\n", part.len()).into_bytes()));
        if let Some(last) = stream.last_mut() {
            last.extend_from_slice(b"0\r\n\r\n");
        }
        Self { whole: whole.into_bytes(), stream }
    }

    /// Each part at its time since the request. Pauses between them would add up how late the upstream itself wakes
    /// on a machine that it shares with the gateway: some 20 µs a part.
    fn stream(&self, socket: &mut TcpStream, pause: Duration) -> io::Result<()> {
        let mut due = Instant::now();
        for part in &self.stream {
            socket.write_all(part)?;
            due += pause;
            thread::sleep(due.saturating_duration_since(Instant::now()));
        }
        Ok(())
    }
}

/// The program under measurement, with its counters in a file as by default. Ends with this value.
struct Gateway {
    process: Child,
    address: SocketAddr,
    folder: std::path::PathBuf,
}

impl Gateway {
    fn start(program: &str, upstream: SocketAddr) -> io::Result<Self> {
        let folder = std::env::temp_dir().join(format!("tollgate-bench-{}", std::process::id()));
        std::fs::create_dir_all(&folder)?;
        let price = r#"{"input":"1","output":"2"}"#;
        let prices = ["openai", "anthropic"]
            .iter()
            .flat_map(|provider| ["plain", "burst", "paced"].map(|script| format!(r#""{provider}/{script}":{price}"#)))
            .collect::<Vec<_>>()
            .join(",");
        let mut process = Command::new(program)
            .args(["--port", "0", "--store"])
            .arg(folder.join("counters.db"))
            .env("TOLLGATE_CONFIG", format!(r#"{{"prices":{{{prices}}}}}"#))
            .env_remove("TOLLGATE_KEY")
            .env("OPENAI_API_KEY", "key")
            .env("OPENAI_BASE_URL", format!("http://{upstream}/v1"))
            .env("ANTHROPIC_API_KEY", "key")
            .env("ANTHROPIC_BASE_URL", format!("http://{upstream}"))
            .stdout(Stdio::piped())
            .spawn()?;
        let output = process.stdout.take().ok_or_else(|| io::Error::other("no output"))?;
        let mut lines = BufReader::new(output).lines();
        while let Some(line) = lines.next().transpose()? {
            if let Some((_, address)) = line.split_once("listening on http://") {
                let address = address.parse().map_err(io::Error::other)?;
                // The log has a reader, as it would have.
                thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
                return Ok(Self { process, address, folder });
            }
        }
        Err(io::Error::other("the gateway did not start"))
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
