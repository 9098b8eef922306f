import ArgumentParser
import Foundation
import GatewayCrypto
import IKEMessages
import Testing
import Wire

@testable import RoadWarrior
@testable import ipsec_load

/// Where many clients come from, whose a datagram is, and the book that is kept of them.
struct LoadCrowdTests {
    @Test(arguments: [
        ("10.9.0.0/16", "10.9.0.1", "10.9.255.254"), ("10.9.0.4/31", "10.9.0.4", "10.9.0.5"), ("127.1.0.1-127.1.0.9", "127.1.0.1", "127.1.0.9"),
        ("10.0.0.1", "10.0.0.1", "10.0.0.1"), ("2001:db8::/126", "2001:db8::", "2001:db8::3"),
    ])
    func ranges(text: String, first: String, last: String) throws {
        let range = try #require(Sources.range(text))
        #expect(range.begin.description == first && range.end.description == last)
    }

    @Test(arguments: ["", "10.0.0.9-10.0.0.1", "10.0.0.1-::1", "10.0.0.1-", "10.0.0.0/33", "a-b"])
    func noRanges(text: String) { #expect(Sources.range(text) == nil) }

    /// Every one of 100,000 clients has an endpoint of its own, and addresses take turns.
    @Test func programs_aHundredThousandClients() {
        let sources = Sources(family: .ipv4, addresses: Sources.range("10.9.0.1-10.9.0.4"), ports: 20_000...59_999, share: 1)
        #expect(sources.capacity(sockets: 100_000) && !sources.capacity(sockets: 160_001))
        let endpoints = (0..<100_000).map { sources.endpoint(ofSocket: $0) }
        #expect(Set(endpoints).count == 100_000)
        #expect(
            endpoints[0].description == "10.9.0.1:20000" && endpoints[3].description == "10.9.0.4:20000"
                && endpoints[4].description == "10.9.0.1:20001")
        #expect(Sources(family: .ipv4, addresses: nil, ports: nil, share: 4).endpoint(ofSocket: 9).description == "0.0.0.0:0")
    }

    @Test(arguments: [
        ["--from", "10.0.0.1", "--ports", "1-9"], ["--from", "::1"], ["--share", "0"], ["--share", "1001"], ["--ports", "9-1"], ["--ports", "0-9"],
        ["--ports", "1-2-3"],
    ])
    func programs_sourcesThatDoNotFit(_ words: [String]) throws {
        let hold = try #require(
            try LoadProgram.parseAsRoot(["hold", "--gateway", "127.0.0.1", "--psk", "k", "--id", "c%n", "--clients", "10"] + words) as? Hold)
        #expect(throws: (any Error).self) { _ = try hold.origin.sources(for: 10, toward: IPAddress(v4: 0x7f00_0001)) }
    }

    @Test func whoseADatagramIs() {
        let spis: [UInt8] = [0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2]
        let response = spis + [46, 0x20, 37, 0x20] + [UInt8](repeating: 0, count: 8)
        let request = spis + [46, 0x20, 37, 0x08] + [UInt8](repeating: 0, count: 8)
        #expect(ReceivedSPI(response, isNATPort: false) == .ike(1))
        // The gateway began that IKE SA, as it does with a rekey: our SPI is the responder's.
        #expect(ReceivedSPI(request, isNATPort: false) == .ike(2))
        #expect(ReceivedSPI([0, 0, 0, 0] + response, isNATPort: true) == .ike(1))
        #expect(ReceivedSPI([1, 2, 3, 4, 0, 0, 0, 1], isNATPort: true) == .esp(0x0102_0304))
        for short in [[], [0xff], [0, 0, 0, 0], Array(response.dropLast())] as [[UInt8]] {
            #expect(ReceivedSPI(short, isNATPort: false) == nil)
            #expect(ReceivedSPI(short.isEmpty ? [] : [0, 0, 0, 0] + short, isNATPort: true) == nil)
        }
    }

    private func at(_ seconds: Double) -> Instant { Instant(nanoseconds: UInt64(seconds * 1e9)) }

    @Test func theBookOfAClient() throws {
        var book = Standing(clients: 4)
        for client in 0..<3 { book.begin(client, due: at(1)) }
        let facts = RoadWarrior.ChildEstablished(
            inboundSPI: 1, outboundSPI: 2, protection: ProtectionSuite.all[0], extendedSequenceNumbers: true, localSelectors: [], remoteSelectors: [])
        #expect(book.note(.childEstablished(facts), of: 0, stage: .established, at: at(1.5)) == .isUp)
        #expect(book.note(.childEstablished(facts), of: 1, stage: .established, at: at(2)) == .isUp)
        #expect(book.note(.closed(.noAnswer(.ikeSAInit)), of: 2, stage: .closed, at: at(9)) == .isOver)
        #expect(book.up == 2 && book.most == 2 && book.logins.failures == ["no answer to IKE_SA_INIT": 1] && book.percentile(0.5) == 500)
        #expect(book.note(.childRekeyed(from: 1, to: facts, byUs: true), of: 0, stage: .established, at: at(10)) == .none)
        #expect(book.note(.closed(.deletedByPeer), of: 0, stage: .closed, at: at(11)) == .isOver)
        #expect(book.losses == ["deleted by the gateway": 1] && book.childRekeysByUs == 1)
        #expect(book.note(.childClosed(1), of: 1, stage: .established, at: at(12)) == .close)
        #expect(book.note(.closed(.deletedByUs(answered: false)), of: 1, stage: .closed, at: at(13)) == .isOver)
        book.dismiss(3)
        #expect(book.lost == 2 && book.unansweredDeletes == 1 && book.over == 4 && book.up == 0 && book.leaving == 0 && book.beginning == 0)
    }

    @Test func aSteadyPace() {
        var pace = Pace(rate: 1000, from: at(1))
        #expect(pace.take(at: at(0.5), atMost: 100) == 0)
        #expect(pace.take(at: at(1), atMost: 100) == 1)
        #expect(pace.take(at: at(1.010_5), atMost: 4) == 4)
        #expect(pace.take(at: at(1.010_5), atMost: 100) == 6 && abs(Time.seconds(pace.next - at(1.011))) < 1e-6)
        // A second late: what is due of it is left out but for a short burst.
        #expect(pace.take(at: at(2.010_5), atMost: 10_000) == 50 && pace.skipped == 950)
        var never = Pace(rate: 0, from: at(1))
        #expect(never.take(at: at(100), atMost: 9) == 0)
    }

    @Test func programs_figuresHaveStableKeys() {
        var part = Summary()
        part.add("sent", "sent", 3)
        var summary = Summary()
        summary.add("b", "second", .number(1.23456))
        summary.add("a", "first", .causes(["x": 1, "y": 2]))
        summary.add("c", "third", .part(part))
        summary.add("d", "fourth", .number(nil))
        summary.add("e", "fifth", .text("t"))
        #expect(summary.json == #"{"a":[{"cause":"y","count":2},{"cause":"x","count":1}],"b":1.235,"c":{"sent":3},"d":null,"e":"t"}"#)
        #expect(summary.table.split(separator: "\n").allSatisfy { $0.count <= 100 } && summary.table.contains("  y: 2"))
    }
}
