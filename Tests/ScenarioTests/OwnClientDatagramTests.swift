import Foundation
import Lab
import Testing

/// Numbered UDP datagrams that the kernel cuts (`UDP_SEGMENT`) and joins (`UDP_GRO`), through our own client and gateway.
///
/// ```
///  sender ipsec-load 198.51.101.2 ------+-- internet --+-- 192.0.2.1     gateway 10.20.0.1 -------+- 10.20.0.2     receiver
///    (rw0, eth0)     2001:db8:101::2 ---+              +-- 2001:db8:1::1 (wan, priv0) ...:20::1 --+- 2001:db8:20::2
/// ```
/// And the other way round.
@Suite(.watched)
struct OwnClientDatagramTests {
    typealias Combination = OwnClientOffloadTests.Combination

    static let combinations = [
        Combination(client: "all", gateway: "all", outer: 6, octets: 8_000_000),
        Combination(client: "tun", gateway: "udp", outer: 4, octets: 8_000_000),
        Combination(client: "udp", gateway: "tun", outer: 6, octets: 8_000_000),
        Combination(client: "none", gateway: "none", outer: 4, octets: 8_000_000),
    ]

    /// What the kernel of this machine has, as `ipsec-gw version` tells it.
    private struct Kernel {
        /// Many UDP datagrams in one through a TUN device: from Linux 6.2 on.
        let hasUSO: Bool
        let cutsDatagrams: Bool

        init(_ version: String) {
            hasUSO = version.contains("TSO, USO;")
            cutsDatagrams = version.contains("UDP_SEGMENT,")
        }
    }

    @Test(
        "UDP_SEGMENT each way, IPv4 and IPv6 inside: every datagram arrives as it was sent, and super-packets pass just where offloads are on",
        arguments: combinations)
    func everyDatagram(_ combination: Combination) async throws {
        try await Scenario.run(slots: 2) { scenario in
            let way = try await combination.connect(scenario)
            let kernel = Kernel(try await way.client.run("\(Programs.path("ipsec-gw")) version").required())
            if !kernel.hasUSO { print("\(combination): no USO on TUN devices here, so none is looked for") }
            let tun = { (offloads: String) in kernel.hasUSO && ["tun", "all"].contains(offloads) }
            let udp = { (offloads: String) in kernel.cutsDatagrams && ["udp", "all"].contains(offloads) }
            let (client, gateway, host) = (way.client, way.road.network.gateway, way.road.host)
            let up = [
                Hop(name: "client reads", namespace: client, device: "rw0", isArrival: false, joins: tun(combination.client)),
                Hop(name: "client sends", namespace: client, device: "eth0", isArrival: false, joins: udp(combination.client)),
                Hop(
                    name: "gateway writes", namespace: gateway, device: GatewaySettings.interfaceName, isArrival: true,
                    joins: tun(combination.gateway)),
            ]
            let down = [
                Hop(
                    name: "gateway reads", namespace: gateway, device: GatewaySettings.interfaceName, isArrival: false,
                    joins: tun(combination.gateway)),
                Hop(name: "gateway sends", namespace: gateway, device: "wan", isArrival: false, joins: udp(combination.gateway)),
                Hop(name: "client writes", namespace: client, device: "rw0", isArrival: true, joins: tun(combination.client)),
            ]
            // The receiver's socket takes joined datagrams in half of the runs; else the kernel cuts them for it
            for (address, takesJoined) in [(RoadNetwork.hostAddress, true), (RoadNetwork.hostAddress6, false)] {
                let stream = Stream(
                    combination: combination, scenario: scenario, sender: client, receiver: host, address: address, takesJoined: takesJoined,
                    hops: up)
                try await stream.run()
            }
            for (address, takesJoined) in [(way.address, false), (way.address6, true)] {
                let stream = Stream(
                    combination: combination, scenario: scenario, sender: host, receiver: client, address: address, takesJoined: takesJoined,
                    hops: down)
                try await stream.run()
            }
            try await way.end()
        }
    }

    /// A device that all datagrams of a stream pass, one by one or many in one packet.
    private struct Hop {
        let name: String
        let namespace: Namespace
        let device: String
        /// Whether packets come out of the device into the namespace.
        let isArrival: Bool
        /// Whether super-packets pass here.
        let joins: Bool

        private struct Link: Decodable {
            struct Statistics: Decodable {
                struct Direction: Decodable { let packets: Int }
                let rx: Direction
                let tx: Direction
            }
            let stats64: Statistics
        }

        /// Packets so far: the kernel counts a super-packet as one.
        func count() async throws -> Int {
            let text = try await namespace.show("-json -statistics link show dev \(device)")
            let link = try #require(try JSONDecoder().decode([Link].self, from: Data(text.utf8)).first)
            return isArrival ? link.stats64.rx.packets : link.stats64.tx.packets
        }
    }

    /// One stream of datagrams.
    private struct Stream {
        let combination: Combination
        let scenario: Scenario
        let sender: Namespace
        let receiver: Namespace
        let address: String
        let takesJoined: Bool
        let hops: [Hop]

        func run() async throws {
            let seed = UInt64.random(in: 0...UInt64.max)
            let note: Comment = "\(combination), to \(address), seed \(seed)"
            let script = try scenario.write(OwnClientDatagramTests.script, to: "datagrams.py")
            let listening = try await receiver.start("datagrams", ["/usr/bin/python3", script, "receive", address, takesJoined ? "1" : "0"])
            let line = try await listening.waitForLine(containing: "port ")
            let port = try #require(line.split(separator: " ").last)
            var before: [Int] = []
            for hop in hops { before.append(try await hop.count()) }
            let patience = Duration.seconds(180)
            let sending = try await sender.run("/usr/bin/python3 \(script) send \(address) \(port) \(combination.octets) \(seed)", timeout: patience)
            #expect(sending.succeeded, "\(note): \(sending.output)")
            #expect(try await listening.wait(timeout: patience) == .exited(0), note)
            let (sent, received) = (words(sending.output), words(listening.output))
            print("\(note): sent \(sent), received \(received)")

            #expect(sent["sha256"] != nil && sent["sha256"] == received["sha256"], note)
            let datagrams = try number(sent, "datagrams")
            let repeated = try number(sent, "repeated")
            #expect(try number(received, "datagrams") == datagrams && number(received, "corrupted") == 0, note)
            #expect(try number(received, "octets") >= combination.octets, note)
            // What is repeated may come twice, nothing else
            #expect(try repeated * 20 <= datagrams && number(received, "twice") <= repeated, note)
            for (hop, earlier) in zip(hops, before) {
                let packets = try await hop.count() - earlier
                print("\(note): \(hop.name): \(packets) packets for \(datagrams + repeated) datagrams")
                #expect(hop.joins ? packets * 2 < datagrams : packets >= datagrams, "\(note), \(hop.name): \(packets) packets")
            }
            if takesJoined, hops.last?.joins == true { #expect(try number(received, "joined") > 0, note) }
        }

        /// Lines of a name and a value.
        private func words(_ output: String) -> [String: String] {
            let pairs = output.split(separator: "\n").map { $0.split(separator: " ").map(String.init) }.filter { $0.count == 2 }
            return Dictionary(pairs.map { ($0[0], $0[1]) }, uniquingKeysWith: { $1 })
        }

        private func number(_ words: [String: String], _ name: String) throws -> Int {
            try #require(words[name].flatMap { Int($0) }, "\(name) of \(words)")
        }
    }

    /// Sends or takes numbered datagrams, each with a digest of its own. After each window the receiver says over TCP what is missing, and that alone is
    /// sent again, one by one: no buffer on the way is ever asked to hold more than a window.
    private static let script = #"""
        import errno, hashlib, random, select, socket, struct, sys, time
        UDP_SEGMENT, UDP_GRO, SO_RCVBUFFORCE = 103, 104, 33
        WINDOW = 256
        mode, address = sys.argv[1:3]
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        datagrams = socket.socket(family, socket.SOCK_DGRAM)

        def told(digest, **figures):
            print("sha256", digest.hexdigest())
            for name, value in figures.items():
                print(name, value)
            sys.stdout.flush()

        def mark(rest):
            return hashlib.blake2b(rest, digest_size=8).digest()

        def send(port, octets, seed):
            noise, whole = random.Random(seed), hashlib.sha256()
            control = socket.create_connection((address, port), timeout=120)
            answers = control.makefile("r")
            datagrams.connect((address, port))
            number = total = repeated = calls = refused = 0
            while total < octets:
                window, first = {}, number
                while len(window) < WINDOW and total < octets:
                    # Segments of one size and a shorter last one, as an application hands them over
                    size = noise.randrange(100, 1201)
                    count = min(noise.randrange(1, 41), WINDOW - len(window))
                    row = []
                    for index in range(count):
                        length = noise.randrange(16, size + 1) if index == count - 1 else size
                        rest = struct.pack("!I", number) + noise.randbytes(length - 12)
                        row.append(mark(rest) + rest)
                        whole.update(row[-1])
                        window[number] = row[-1]
                        number += 1
                        total += length
                    try:
                        datagrams.sendmsg([b"".join(row)], [(socket.IPPROTO_UDP, UDP_SEGMENT, struct.pack("=H", size))])
                        calls += 1
                    except OSError as error:
                        # Linux before 6.11 does not cut for a device that makes no checksums
                        if error.errno not in (errno.EIO, errno.EINVAL):
                            raise
                        refused += 1
                        for datagram in row:
                            datagrams.send(datagram)
                while True:
                    control.sendall(f"{first} {number}\n".encode())
                    missing = answers.readline().split()
                    if missing[0] != "missing":
                        raise SystemExit(f"the receiver said {missing}")
                    if len(missing) == 1:
                        break
                    # A twentieth is what a busy machine may lose; who has lost this much loses all
                    if repeated > 1000:
                        raise SystemExit(f"{repeated} datagrams repeated of {number}")
                    for name in missing[1:]:
                        datagrams.send(window[int(name)])
                        repeated += 1
            control.sendall(b"end\n")
            answers.readline()
            told(whole, datagrams=number, octets=total, repeated=repeated, calls=calls, refused=refused)

        def receive(joined):
            listener = socket.create_server((address, 0), family=family)
            port = listener.getsockname()[1]
            datagrams.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 16 << 20)
            if joined:
                datagrams.setsockopt(socket.IPPROTO_UDP, UDP_GRO, 1)
            datagrams.bind((address, port))
            kept = {}
            figures = dict(corrupted=0, twice=0, joined=0)

            def drain():
                while True:
                    try:
                        data, more, _, _ = datagrams.recvmsg(65535, 64, socket.MSG_DONTWAIT)
                    except BlockingIOError:
                        return
                    size = len(data)
                    for level, kind, value in more:
                        if (level, kind) == (socket.IPPROTO_UDP, UDP_GRO):
                            size = struct.unpack_from("=i", value)[0]
                    figures["joined"] += size < len(data)
                    for start in range(0, len(data), max(1, size)):
                        one = data[start:start + size]
                        if len(one) < 12 or one[:8] != mark(one[8:]):
                            figures["corrupted"] += 1
                            continue
                        number = struct.unpack_from("!I", one, 8)[0]
                        figures["twice"] += number in kept
                        kept[number] = one

            print("port", port, flush=True)
            control, _ = listener.accept()
            orders = control.makefile("r")
            while True:
                ready, _, _ = select.select([control, datagrams], [], [])
                drain()
                if control not in ready:
                    continue
                order = orders.readline().split()
                if len(order) != 2:
                    break
                first, end = map(int, order)
                missing = [number for number in range(first, end) if number not in kept]
                # The order may overtake what it is about
                while missing and select.select([datagrams], [], [], 2)[0]:
                    drain()
                    missing = [number for number in missing if number not in kept]
                control.sendall(" ".join(["missing"] + [str(number) for number in missing]).encode() + b"\n")
            whole = hashlib.sha256()
            for number in sorted(kept):
                whole.update(kept[number])
            told(whole, datagrams=len(kept), octets=sum(map(len, kept.values())), **figures)
            control.sendall(b"over\n")

        if mode == "send":
            send(*map(int, sys.argv[3:]))
        else:
            receive(sys.argv[3] == "1")

        """#
}
