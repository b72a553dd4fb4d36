use std::io::{ErrorKind, Read as _, Write as _};
use std::time::Instant;

use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt as _, SeedableRng as _};

use super::delay_line::IN_FLIGHT_BYTES;
use super::*;
use crate::mock_api::{self, MockApiOptions};
use crate::test_database::test_database;

/// Far beyond what any of these tests needs, and less than a hang.
const PATIENCE: Duration = Duration::from_secs(30);

/// A relay, and both ends of one connection through it.
fn connected(added_round_trip: Duration) -> (Relay, TcpStream, TcpStream) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let relay = Relay::start(listener.local_addr().unwrap(), added_round_trip).unwrap();
    let client = TcpStream::connect(relay.address()).unwrap();
    let (server, _) = listener.accept().unwrap();
    for end in [&client, &server] {
        end.set_nodelay(true).unwrap();
        end.set_read_timeout(Some(PATIENCE)).unwrap();
        end.set_write_timeout(Some(PATIENCE)).unwrap();
    }
    (relay, client, server)
}

fn random(seed: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    Xoshiro256PlusPlus::seed_from_u64(seed).fill(&mut bytes);
    bytes
}

fn read_to_end(mut from: &TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    from.read_to_end(&mut bytes).unwrap();
    bytes
}

fn send_all(mut to: &TcpStream, bytes: &[u8]) {
    to.write_all(bytes).unwrap();
    to.shutdown(Shutdown::Write).unwrap();
}

/// Whether the peer's end has come, orderly or not; what came before is dropped.
fn has_ended(mut stream: &TcpStream) -> bool {
    let mut buffer = [0; 4096];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => return error.kind() == ErrorKind::ConnectionReset,
        }
    }
}

/// Writes `block` over and over until nothing was taken for a while; returns how many bytes were.
fn write_until_held_back(mut to: &TcpStream, block: &[u8]) -> usize {
    // Far beyond the relay's bound and the buffers of four sockets.
    const LIMIT: usize = 64 * IN_FLIGHT_BYTES;
    to.set_write_timeout(Some(Duration::from_secs(1))).unwrap();
    let mut taken = 0;
    while taken < LIMIT {
        match to.write(&block[taken % block.len()..]) {
            Ok(written) => taken += written,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
                return taken;
            }
        }
    }
    panic!("{taken} bytes were taken and nobody reads them");
}

#[test]
fn large_payloads_arrive_unchanged_both_ways_at_once() {
    let (relay, client, server) = connected(Duration::from_millis(2));
    let (there, back) = (random(1, 20 << 20), random(2, (20 << 20) + 1));
    thread::scope(|scope| {
        scope.spawn(|| send_all(&client, &there));
        scope.spawn(|| send_all(&server, &back));
        let at_server = scope.spawn(|| read_to_end(&server));
        assert!(read_to_end(&client) == back);
        assert!(at_server.join().unwrap() == there);
    });
    drop(relay);
}

#[test]
fn an_echo_takes_at_least_the_added_round_trip() {
    for micros in [0, 500, 2_000, 10_000] {
        let added = Duration::from_micros(micros);
        let (relay, mut client, mut server) = connected(added);
        assert_eq!(relay.added_round_trip(), added);
        let mut fastest = Duration::MAX;
        for length in 1..=20 {
            let (sent, mut received) = (random(3, length), vec![0; length]);
            let start = Instant::now();
            client.write_all(&sent).unwrap();
            server.read_exact(&mut received).unwrap();
            server.write_all(&received).unwrap();
            client.read_exact(&mut received).unwrap();
            fastest = fastest.min(start.elapsed());
            assert_eq!(received, sent);
        }
        assert!(fastest >= added, "{fastest:?} for {added:?}");
        assert!(fastest < added + PATIENCE / 60, "{fastest:?} for {added:?}");
    }
}

#[test]
fn messages_travel_side_by_side() {
    const MESSAGES: u32 = 200;
    let added = Duration::from_millis(200);
    let (_relay, mut client, mut server) = connected(added);
    let start = Instant::now();
    for _ in 0..MESSAGES {
        client.write_all(b"message").unwrap();
        thread::sleep(Duration::from_millis(1));
    }
    let mut received = vec![0; 7 * MESSAGES as usize];
    server.read_exact(&mut received).unwrap();
    // One after another they would take a hundred times the one way of a tenth of a second.
    assert!(start.elapsed() < added / 2 * MESSAGES / 2);
}

#[test]
fn a_half_closed_connection_still_carries_the_answer() {
    for micros in [0, 2_000] {
        let (_relay, client, server) = connected(Duration::from_micros(micros));
        send_all(&client, b"question");
        assert_eq!(read_to_end(&server), b"question");
        send_all(&server, b"answer");
        assert_eq!(read_to_end(&client), b"answer");
    }
}

#[test]
fn a_reset_is_passed_on_as_a_reset() {
    let (_relay, client, server) = connected(Duration::from_millis(1));
    reset_on_close(&server);
    drop(server);
    let error = (&client).read(&mut [0]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);

    let (_relay, client, server) = connected(Duration::from_millis(1));
    reset_on_close(&client);
    drop(client);
    let error = (&server).read(&mut [0]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

#[test]
fn a_sender_learns_that_its_peer_is_gone() {
    let (_relay, mut client, server) = connected(Duration::from_millis(1));
    drop(server);
    let start = Instant::now();
    while client.write_all(b"anybody there?").is_ok() {
        assert!(start.elapsed() < PATIENCE);
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_refused_target_ends_the_clients_connection() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let target = listener.local_addr().unwrap();
    drop(listener);
    let relay = Relay::start(target, Duration::from_millis(1)).unwrap();
    let client = TcpStream::connect(relay.address()).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    assert!(has_ended(&client));
}

#[test]
fn dropping_closes_the_port_and_every_connection() {
    let (relay, client, server) = connected(Duration::from_secs(3_600));
    // On its way for half an hour: the relay must not wait for it.
    (&client).write_all(b"late").unwrap();
    let address = relay.address();
    let connections = Arc::clone(&relay.connections);
    drop(relay);
    assert_eq!(
        Arc::strong_count(&connections),
        1,
        "a thread is left behind"
    );
    assert!(has_ended(&client));
    assert!(has_ended(&server));
    let error = TcpStream::connect(address).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
}

#[test]
fn a_reader_that_never_reads_holds_its_sender_back() {
    let (relay, client, server) = connected(Duration::from_millis(2));
    let block = random(4, (1 << 20) + 1);
    let sent = write_until_held_back(&client, &block);
    let held = {
        let open = relay.connections.open();
        let connection = open.connections[0].upgrade().unwrap();
        connection.to_server.held_bytes()
    };
    assert!(0 < held && held <= IN_FLIGHT_BYTES, "{held}");

    client.shutdown(Shutdown::Write).unwrap();
    let received = read_to_end(&server);
    assert_eq!(received.len(), sent);
    let mut blocks = received.chunks(block.len());
    assert!(blocks.all(|received| received == &block[..received.len()]));
}

#[test]
fn dropping_does_not_wait_for_a_reader() {
    let (relay, client, _server) = connected(Duration::ZERO);
    write_until_held_back(&client, &random(5, 1 << 20));
    let start = Instant::now();
    drop(relay);
    assert!(start.elapsed() < PATIENCE);
    assert!(has_ended(&client));
}

#[tokio::test]
async fn a_postgres_query_through_a_relay_takes_at_least_the_added_time() {
    let database = test_database().await.unwrap();
    let added = Duration::from_millis(5);
    let relay = Relay::start(server_address(database.url()).unwrap(), added).unwrap();
    let url = relay.in_place_of(database.url()).unwrap();
    assert!(url.contains(&relay.address().to_string()));
    let far = measure_postgres_round_trip(&url).await.unwrap();
    let near = measure_postgres_round_trip(database.url()).await.unwrap();
    assert!(far >= added, "{far:?}");
    assert!(near < far, "{near:?}, {far:?}");
}

#[tokio::test]
async fn a_page_through_a_relay_takes_at_least_the_added_time() {
    let api = mock_api::serve(&MockApiOptions::new("narrow", 10))
        .await
        .unwrap();
    let added = Duration::from_millis(5);
    let relay = Relay::start(server_address(api.url()).unwrap(), added).unwrap();
    let url = relay.in_place_of(api.url()).unwrap();
    assert!(url.ends_with("/narrow"), "{url}");
    let far = measure_http_round_trip(&url).await.unwrap();
    assert!(far >= added, "{far:?}");
    assert!(measure_http_round_trip(api.url()).await.unwrap() > Duration::ZERO);
}
