import Lab
import Testing

/// What goes over the wire, opened by Scapy with the client's keys and compared with what the host behind the gateway sent and got.
///
/// ```
///  ipsec-load 198.51.101.2 -------- internet ---+-- 192.0.2.1     gateway 10.20.0.1 -------+- 10.20.0.2     host
///             2001:db8:101::2   tcpdump eth0    +-- 2001:db8:1::1         2001:db8:20::1 --+- 2001:db8:20::2   tcpdump lan
/// ```
@Suite(.watched)
struct OwnClientScapyTests {
    @Test("RFC 4303, 4106, 4868: Scapy opens every packet of the gateway, over rekeys, and finds what the host sent", arguments: OwnClientWay.all)
    func scapyOpensWhatTheGatewaySends(_ way: OwnClientWay) async throws {
        try await Scenario.run { scenario in
            let road = try await way.build(scenario)
            let client = road.network.clients[0]
            let outer = try await Capture.start(scenario, in: client, link: "eth0", filter: "ip proto 50 or ip6 proto 50")
            let inner = try await Capture.start(scenario, in: road.host, link: "lan", filter: "icmp or icmp6")
            let keys = "\(scenario.folder)/keys"
            let load = try await way.connect(road, ["--key-log", keys, "--rekey-child", "1.5"])
            for size in [84, 85, 333, 1200] {
                #expect(try await Ping.run(from: client, to: RoadNetwork.hostAddress, count: 8, size: size).isComplete)
                #expect(try await Ping.run(from: client, to: RoadNetwork.hostAddress6, count: 8, size: size).isComplete)
            }
            #expect(await becomesTrue(within: .seconds(10)) { load.output.split(separator: "\n").count { $0.contains("rekeyed child by=us") } >= 2 })
            #expect(try await Ping.run(from: client, to: RoadNetwork.hostAddress, count: 4).isComplete)
            try await way.end(load, road)
            _ = try await outer.stop()
            _ = try await inner.stop()
            let script = try scenario.write(Self.script, to: "open.py")
            let result = try await client.run(
                "/usr/bin/python3 \(script) \(outer.file) \(inner.file) \(keys) \(way.gateway)", timeout: .seconds(120))
            #expect(result.succeeded && result.output.contains("Scapy agrees"), "\(result.output)")
            print("\(way): \(result.output.split(separator: "\n").last ?? "")")
        }
    }

    /// HMAC is Python's own, since Scapy leaves the high half of the sequence number out of it.
    private static let script = #"""
        import hmac, json, struct, sys
        from scapy.layers.inet import ICMP, IP
        from scapy.layers.inet6 import ICMPv6EchoReply, ICMPv6EchoRequest, IPv6
        from scapy.layers.ipsec import ESP, SecurityAssociation
        from scapy.utils import rdpcap
        outer_file, inner_file, key_file, gateway = sys.argv[1:]
        kind = IPv6 if ":" in gateway else IP
        keys = {}
        for line in open(key_file):
            key = json.loads(line)
            assert (key["encryption"], key["integrity"]) in ((20, 0), (12, 12)), key
            for way in ("in", "out"):
                # both sides number alike: what names an SA is the SPI and whom it leads to
                keys[key[way], way] = key
        def plain(packet):
            # hop limit, and of IPv4 the checksum of the header: what forwarding changes
            octets = bytearray(bytes(packet))
            if packet.version == 4:
                del octets[packet.len:]
                octets[8] = octets[10] = octets[11] = 0
            else:
                del octets[40 + packet.plen:]
                octets[7] = 0
            return bytes(octets)
        def echo(packet):
            if ICMP in packet: return {8: "request", 0: "reply"}.get(packet[ICMP].type)
            return "request" if ICMPv6EchoRequest in packet else "reply" if ICMPv6EchoReply in packet else None
        there = {"request": [], "reply": []}
        for frame in rdpcap(inner_file):
            packet = frame.payload
            if echo(packet): there[echo(packet)].append(plain(packet))
        def opened(packet, key, way, number):
            octets = bytes(packet)[20:packet.len] if kind is IP else bytes(packet)[40:40 + packet.plen]
            if key["integrity"]:
                octets, tag = octets[:-16], octets[-16:]
                high = struct.pack("!L", 0) if key["esn"] else b""
                right = hmac.new(bytes.fromhex(key["auth_" + way]), octets + high, "sha256").digest()[:16]
                assert hmac.compare_digest(tag, right), ("ICV", number)
            fields = {"nh": 50} if kind is IPv6 else {"proto": 50}
            sa = SecurityAssociation(ESP, spi=key[way], crypt_algo="AES-GCM" if key["encryption"] == 20 else "AES-CBC",
                crypt_key=bytes.fromhex(key["key_" + way]), tunnel_header=kind(src=packet.src, dst=packet.dst), esn_en=key["esn"], esn=0)
            return sa.decrypt(kind(bytes(kind(src=packet.src, dst=packet.dst, **fields) / octets)))
        last, vectors, found, SAs = {}, set(), {"request": [], "reply": []}, set()
        for frame in rdpcap(outer_file):
            packet = frame.payload
            octets = bytes(packet.payload)
            spi, number = struct.unpack("!LL", octets[:8])
            way = "in" if packet.src == gateway else "out"
            assert (spi, way) in keys, ("an SPI that is nobody's", hex(spi), way)
            key = keys[spi, way]
            vector = octets[8:16 if key["encryption"] == 20 else 24]
            assert (spi, way, vector) not in vectors, ("a vector twice", hex(spi), number)
            vectors.add((spi, way, vector))
            inner = opened(packet, key, way, number)
            if way == "in":
                assert number == last.get(spi, 0) + 1, ("a number that does not follow", hex(spi), number)
                last[spi] = number
                SAs.add(spi)
                assert echo(inner) == "reply", inner.summary()
            if echo(inner): found[echo(inner)].append(plain(inner))
        assert len(SAs) >= 2, SAs
        assert len(found["reply"]) >= 68, len(found["reply"])
        for sort in ("request", "reply"):
            assert sorted(found[sort]) == sorted(there[sort]), (sort, len(found[sort]), len(there[sort]))
        print("Scapy agrees on %d packets of the gateway on %d SAs, and on %d of the client" % (len(found["reply"]), len(SAs), len(found["request"])))
        """#
}
