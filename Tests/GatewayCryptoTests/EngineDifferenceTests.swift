import Foundation
import Testing
import Wire

@testable import GatewayCrypto

@Suite("Both engines answer alike", .enabled(if: CryptoEngine.multiBuffer.isAvailable, "no second engine here: needs intel-ipsec-mb"))
struct EngineDifferenceTests {
    private static func environment(_ name: String) -> UInt64? { ProcessInfo.processInfo.environment[name].flatMap { UInt64($0) } }

    /// `IPSEC_GW_RECORDS` runs more of them (make soak), `IPSEC_GW_SEED` the same again.
    static let count = Int(environment("IPSEC_GW_RECORDS") ?? 20_000)
    static let seed = environment("IPSEC_GW_SEED") ?? UInt64.random(in: 0..<1 << 48)

    /// Three SAs of one suite, each keyed for both engines.
    private struct SA {
        let suite: ProtectionSuite
        let slow: KeyedPair
        let fast: KeyedPair
    }

    @Test("Random records of every suite, one at a time and in batches across SAs, whole and forged")
    func randomRecords() throws {
        let fast = CryptoEngine.preferred
        print("randomRecords: \(Self.count) records, \(fast.rawValue) against openssl, IPSEC_GW_SEED=\(Self.seed)")
        var random = Numbers(state: Self.seed)
        var sas: [SA] = []
        for suite in ProtectionSuite.all {
            for index in UInt64(0)..<3 {
                let slow = try KeyedPair(suite, seed: Self.seed &+ index, engine: .openSSL)
                sas.append(SA(suite: suite, slow: slow, fast: try KeyedPair(suite, seed: Self.seed &+ index, engine: fast)))
            }
        }
        var batch = try RecordBatch(capacity: 300, engine: fast)
        var done = 0
        while done < Self.count {
            // Mostly as a pass has them, now and then more than the library's queue holds
            let size = random.below(20) == 0 ? 300 : 1 + random.below(40)
            // One suite for itself fills its lanes; else all mixed
            let only = random.below(2) == 0 ? sas[random.below(sas.count)].suite : nil
            let candidates = only.map { suite in sas.filter { $0.suite == suite } } ?? sas
            var members: [(sa: SA, plain: Record, laid: LaidOut, ticket: Int)] = []
            for _ in 0..<size {
                let sa = candidates[random.below(candidates.count)]
                let plain = record(sa.suite, &random)
                let laid = LaidOut(plain, icvLength: sa.suite.icvLength, together: random.below(4) != 0)
                members.append((sa, plain, laid, try #require(batch.seal(&sa.fast.sealer, laid))))
            }
            batch.flush()
            var given: [(sa: SA, sealed: Record, laid: LaidOut, ticket: Int)] = []
            var tickets: [Bool] = members.map { batch.succeeded($0.ticket) }
            batch.removeAll()
            for (index, member) in members.enumerated() {
                var (slowly, alone) = (member.plain, member.plain)
                let sealed = member.sa.slow.sealer.seal(&slowly)
                let sealedAlone = member.sa.fast.sealer.seal(&alone)
                #expect(sealed && sealedAlone && tickets[index], "\(member.sa.suite.testDescription), \(member.plain.text.count) octets")
                #expect(alone == slowly, "alone: \(member.sa.suite.testDescription), \(member.plain.text.count) octets")
                #expect(member.laid.record == slowly, "in a batch: \(member.sa.suite.testDescription), \(member.plain.text.count) octets")
                if random.below(3) == 0 { forge(&slowly, &random) }
                let laid = LaidOut(slowly, icvLength: slowly.icv.count, together: random.below(4) != 0)
                given.append((member.sa, slowly, laid, try #require(batch.open(&member.sa.fast.opener, laid))))
            }
            batch.flush()
            tickets = given.map { batch.succeeded($0.ticket) }
            batch.removeAll()
            for (index, member) in given.enumerated() {
                var (slowly, alone) = (member.sealed, member.sealed)
                let opened = member.sa.slow.opener.open(&slowly)
                let openedAlone = member.sa.fast.opener.open(&alone)
                let place: Comment = "\(member.sa.suite.testDescription), \(member.sealed.text.count) octets"
                #expect(openedAlone == opened && tickets[index] == opened, place)
                #expect(alone.text == slowly.text, place)
                let text = Array(member.laid.text)
                #expect(opened ? text == slowly.text : text == member.sealed.text || text.allSatisfy { $0 == 0 }, place)
                if opened { #expect(slowly.text == members[index].plain.text, place) }
            }
            done += size
        }
    }

    /// Associated data and trailer as ESP has them, with and without extended sequence numbers.
    private func record(_ suite: ProtectionSuite, _ random: inout Numbers) -> Record {
        let isExtended = random.below(2) == 0
        let length = [random.below(100), random.below(1500), 1420, 64][random.below(4)]
        let count = suite.isAEAD ? length : max(length / suite.blockLength, 1) * suite.blockLength
        return Record(
            aad: random.octets(suite.isAEAD && isExtended ? 12 : 8), iv: random.octets(suite.ivLength), text: random.octets(count),
            trailer: !suite.isAEAD && isExtended ? random.octets(4) : [])
    }

    private func forge(_ record: inout Record, _ random: inout Numbers) {
        let parts = [\Record.aad, \.iv, \.text, \.icv, \.icv, \.trailer].filter { !record[keyPath: $0].isEmpty }
        let part = parts[random.below(parts.count)]
        let bit = random.below(record[keyPath: part].count * 8)
        record[keyPath: part][bit / 8] ^= 1 << UInt8(bit % 8)
    }
}

/// SplitMix64.
struct Numbers {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var word = state
        word = (word ^ word >> 30) &* 0xbf58_476d_1ce4_e5b9
        word = (word ^ word >> 27) &* 0x94d0_49bb_1331_11eb
        return word ^ word >> 31
    }

    mutating func below(_ limit: Int) -> Int { Int(next() % UInt64(limit)) }

    mutating func octets(_ count: Int) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
            for index in 0..<count { buffer[index] = UInt8(truncatingIfNeeded: next()) }
            initialized = count
        }
    }
}
