import Foundation
import ManagementAPI
import Testing
import Wire

/// A session for the tests.
func session(id: String = "7", name: String = "alice", inner: [String] = ["10.20.1.7"], remote: String = "198.51.100.7") -> SessionReport {
    SessionReport(
        id: id, name: name, identity: "alice@example.com", gateway: "road-warriors",
        remote: Endpoint(IPAddress(remote) ?? IPAddress(v4: 0), port: 4500), innerAddresses: inner.compactMap { IPAddress($0) },
        service: "corporate", interface: "priv0", template: 1, established: Date(timeIntervalSince1970: 1_790_000_000), octetsIn: 1,
        octetsOut: 2, packetsIn: 3, packetsOut: 4, drops: 5, childSAs: [0x0100_0040], acctSessionId: "0000002a")
}

@Suite("programs.md: JSON that scripts rely on")
struct ReportTests {
    private func keys(_ value: some Encodable) throws -> Set<String> {
        let object = try JSONSerialization.jsonObject(with: Data(ManagementCoding.encode(value)))
        return Set((object as? [String: Any] ?? [:]).keys)
    }

    @Test func programs_sessionKeys() throws {
        let expected: Set = [
            "id", "name", "identity", "gateway", "remote", "innerAddresses", "service", "interface", "template", "established",
            "octetsIn", "octetsOut", "packetsIn", "packetsOut", "drops", "childSAs", "acctSessionId",
        ]
        #expect(try keys(session()) == expected)
    }

    @Test func programs_poolKeys() throws {
        let pool = PoolReport(name: "rw/staff", size: 10, used: 1, held: 2, quarantined: 3, free: 4)
        #expect(try keys(pool) == ["name", "size", "used", "held", "quarantined", "free"])
    }

    @Test func roundTrip() throws {
        let report = session(inner: ["10.20.1.7", "2001:db8:20::107"])
        #expect(try ManagementCoding.decode(SessionReport.self, from: ManagementCoding.encode(report, pretty: true)) == report)
        #expect(report.childSAs == ["0x01000040"])
        #expect(report.remote == "198.51.100.7:4500")
    }

    @Test func threat_C11_jsonIsASCII() throws {
        var report = session()
        report.identity = "é\u{202e}\u{9b}\u{7f}\u{1b}\n\u{1f600}\"\\"
        let octets = try ManagementCoding.encode(report)
        #expect(octets.allSatisfy { (0x20...0x7e).contains($0) })
        #expect(try ManagementCoding.decode(SessionReport.self, from: octets) == report)
    }

    @Test func spiText() {
        #expect(SPIText.of(UInt32(0x1f)) == "0x0000001f")
        #expect(SPIText.of(UInt64.max) == "0xffffffffffffffff")
    }
}

@Suite("programs.md: which sessions a selector means")
struct SessionSelectorTests {
    @Test(
        arguments: [
            ("7", true), ("alice", true), ("alice@example.com", true), ("10.20.1.7", true), ("2001:DB8:20:0::107", true),
            ("198.51.100.7", true), ("198.51.100.7:4500", true), ("Alice", false), ("ali", false), ("10.20.1.70", false), ("8", false),
        ])
    func programs_selector(text: String, matches: Bool) throws {
        let selector = try #require(SessionSelector(text))
        let remote = try #require(IPAddress("198.51.100.7"))
        let inner = ["10.20.1.7", "2001:db8:20::107"].compactMap { IPAddress($0) }
        #expect(
            selector.matches(
                id: "7", name: "alice", identity: "alice@example.com", innerAddresses: inner, remote: Endpoint(remote, port: 4500)) == matches)
    }

    @Test func emptyOrHugeIsNone() {
        #expect(SessionSelector("") == nil)
        #expect(SessionSelector(String(repeating: "a", count: 257)) == nil)
        #expect(throws: DecodingError.self) { try ManagementCoding.decode(ClearRequest.self, from: Array(#"{"match":""}"#.utf8)) }
    }

    @Test func namesThatOnlyLookEqualDiffer() throws {
        // One scalar against two: equal to Swift's ==, not to us (threats.md P39).
        let selector = try #require(SessionSelector("\u{e9}"))
        let remote = Endpoint(IPAddress(v4: 1), port: 1)
        #expect(!selector.matches(id: "1", name: "e\u{301}", identity: "", innerAddresses: [], remote: remote))
    }
}
