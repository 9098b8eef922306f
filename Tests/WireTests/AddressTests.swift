import Testing
import Wire

@Suite("Addresses: text, blocks, ranges")
struct AddressTests {
    @Test(
        "RFC 5952 text round trip",
        arguments: [
            "0.0.0.0", "192.0.2.1", "255.255.255.255", "::", "::1", "2001:db8::1", "fe80::1:0:0:1", "1:2:3:4:5:6:7:8", "::ffff:192.0.2.1",
            "2001:db8:0:1:1:1:1:1",
        ])
    func roundTrip(text: String) throws {
        let address = try #require(IPAddress(text))
        #expect(address.description == text)
        #expect(IPAddress(octets: address.octets) == address)
    }

    @Test(
        "refused text",
        arguments: [
            "", "1", "1.2.3", "1.2.3.4.5", "01.2.3.4", "256.0.0.1", "1.2.3.-4", ":::", "1:::2", "::1::", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9",
            "12345::", "g::", "::1%eth0", "1.2.3.4::", "+1::", "1:2:3:4:5:6:7::8",
        ])
    func refused(text: String) {
        #expect(IPAddress(text) == nil)
    }

    @Test(
        "prefixes contain and span",
        arguments: [
            ("10.20.30.40/16", "10.20.0.0/16", "10.20.0.0", "10.20.255.255"), ("0.0.0.0/0", "0.0.0.0/0", "0.0.0.0", "255.255.255.255"),
            ("192.0.2.7", "192.0.2.7/32", "192.0.2.7", "192.0.2.7"), ("2001:db8::/126", "2001:db8::/126", "2001:db8::", "2001:db8::3"),
        ])
    func prefixes(text: String, canonical: String, begin: String, end: String) throws {
        let prefix = try #require(IPPrefix(text))
        #expect(prefix.description == canonical)
        #expect(prefix.range.begin.description == begin && prefix.range.end.description == end)
        #expect(prefix.range.prefix == prefix)
        #expect(prefix.contains(prefix.range.begin) && prefix.contains(prefix.range.end))
        #expect(prefix.range.end.next.map { !prefix.contains($0) } ?? true)
    }

    @Test("intersections of ranges stay within one family")
    func intersections() throws {
        let a = try #require(IPPrefix("10.0.0.0/8")).range
        let b = try #require(AddressRange(IPAddress("10.255.255.0")!, IPAddress("11.0.0.5")!))
        #expect(a.intersection(b)?.description == "10.255.255.0/24")
        #expect(a.intersection(.all(.ipv6)) == nil)
        #expect(AddressRange.all(.ipv6).count == .max)
        #expect(AddressRange(IPAddress("11.0.0.0")!, IPAddress("10.0.0.0")!) == nil)
    }
}

@Suite("Octets, instants, deadlines, secrets")
struct OctetTests {
    @Test("reading stops at the end, never behind it")
    func reading() throws {
        let octets: [UInt8] = [1, 2, 3, 4, 5]
        var span = octets.span.bytes
        #expect(try span.next(UInt16.self) == 0x0102)
        #expect(try span.nested(2) { (part: inout RawSpan) throws(WireError) in try part.next(UInt16.self) } == 0x0304)
        #expect(span.byteCount == 1)
        var caught: WireError?
        do throws(WireError) { _ = try span.next(UInt16.self) } catch { caught = error }
        #expect(caught == .truncated)
        #expect(span.rest() == [5])
    }

    @Test("hexadecimal round trip")
    func hexadecimal() {
        #expect([UInt8](hexadecimal: "00 ff 1a")?.hexadecimal == "00ff1a")
        #expect([UInt8](hexadecimal: "0") == nil && [UInt8](hexadecimal: "zz") == nil)
    }

    enum Name: Int, CaseIterable { case first, second, third }

    @Test("deadlines strike in order and once")
    func deadlines() {
        var deadlines = Deadlines<Name>()
        let start = Instant(nanoseconds: 5)
        deadlines[.first] = start + .seconds(2)
        deadlines[.second] = start + .seconds(1)
        #expect(deadlines.next == start + .seconds(1))
        #expect(deadlines.expired(at: start + .seconds(3)) == [.second, .first])
        #expect(deadlines.next == nil)
        #expect((start + .seconds(-9)).nanoseconds == 0)
    }

    @Test("I11 a configured secret never shows in text")
    func secret() {
        let secret = Secret("hunter2")
        #expect("\(secret) \(String(reflecting: secret)) \(String(describing: Optional(secret)))".contains("hunter2") == false)
        var dumped = ""
        dump(secret, to: &dumped)
        #expect(!dumped.contains("hunter2"))
    }
}
