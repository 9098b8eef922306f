import Testing
import Wire

@testable import GatewayCrypto

@Suite("Batches of records")
struct RecordBatchTests {
    @Test("A full batch takes nothing more, an emptied one does", arguments: CryptoEngine.here)
    func capacity(engine: CryptoEngine) throws {
        let suite = try #require(ProtectionSuite(encryption: .aesCBC, keyBits: 256, integrity: .hmacSHA256_128))
        let pair = try KeyedPair(suite, seed: 1, engine: engine)
        var batch = try RecordBatch(capacity: 3, engine: engine)
        let laid = (0..<4).map { LaidOut(suite.record(blocks: 2, seed: $0), icvLength: suite.icvLength, together: true) }
        for round in 0..<3 {
            for index in 0..<3 { #expect(batch.seal(&pair.sealer, laid[index]) == index) }
            #expect(batch.seal(&pair.sealer, laid[3]) == nil)
            let before = laid[3].record
            batch.flush()
            #expect((0..<3).allSatisfy { batch.succeeded($0) }, "round \(round)")
            #expect(laid[3].record == before)
            #expect(!batch.succeeded(3) && !batch.succeeded(-1))
            batch.removeAll()
            #expect(batch.count == 0 && !batch.succeeded(0))
        }
    }

    @Test("Emptying a batch finishes what waits: nothing is written afterwards", arguments: ProtectionSuite.all, CryptoEngine.here)
    func emptied(suite: ProtectionSuite, engine: CryptoEngine) throws {
        var batch = try RecordBatch(capacity: 8, engine: engine)
        var plain = suite.record(blocks: 4, seed: 2)
        let laid = LaidOut(plain, icvLength: suite.icvLength, together: true)
        do {
            let pair = try KeyedPair(suite, seed: 3, engine: engine)
            #expect(batch.seal(&pair.sealer, laid) == 0)
            batch.removeAll()
        }
        var sealer = try suite.cipher(.seal, seed: 3)
        #expect(sealer.seal(&plain) && laid.record == plain)
        batch.flush()
        #expect(laid.record == plain)
    }

    @Test(
        "threats.md C6: forged records fail alone, whatever stands beside them, and leave no text", arguments: ProtectionSuite.all, CryptoEngine.here)
    func threat_C6_forgedAmongGood(suite: ProtectionSuite, engine: CryptoEngine) throws {
        let pairs = try (0..<5).map { try KeyedPair(suite, seed: $0, engine: engine) }
        var batch = try RecordBatch(capacity: 64, engine: engine)
        var clear: [Record] = []
        var members: [(laid: LaidOut, sealed: Record, isForged: Bool)] = []
        for index in 0..<64 {
            let plain = suite.record(blocks: 1 + index % 7, seed: UInt64(index))
            var record = plain
            let pair = pairs[index % 5]
            #expect(pair.sealer.seal(&record) == true)
            let isForged = index % 3 == 1
            if isForged {
                switch index % 5 {
                case 0: record.text[index % record.text.count] ^= 1
                case 1: record.icv[index % record.icv.count] ^= 0x80
                case 2: record.aad[index % 8] ^= 4
                case 3 where !record.trailer.isEmpty: record.trailer[index % 4] ^= 2
                default: record.icv = [UInt8](repeating: 0, count: suite.icvLength)
                }
            }
            let laid = LaidOut(record, icvLength: suite.icvLength, together: true)
            clear.append(plain)
            members.append((laid, record, isForged))
            #expect(batch.open(&pair.opener, laid) == index)
        }
        batch.flush()
        for (index, member) in members.enumerated() {
            #expect(batch.succeeded(index) == !member.isForged, "record \(index)")
            let text = Array(member.laid.text)
            if !member.isForged { #expect(text == clear[index].text) }
            if member.isForged, suite.encrypts { #expect(text == member.sealed.text || text.allSatisfy { $0 == 0 }) }
        }
    }

    @Test("threats.md C4: lengths that do not fit and the wrong direction fail untouched", arguments: ProtectionSuite.all, CryptoEngine.here)
    func threat_C4_lengths(suite: ProtectionSuite, engine: CryptoEngine) throws {
        let pair = try KeyedPair(suite, seed: 4, engine: engine)
        var batch = try RecordBatch(capacity: 64, engine: engine)
        var plain = suite.record(blocks: 2, seed: 5)
        plain.icv = [UInt8](repeating: 7, count: suite.icvLength)
        var changed: [Record] = []
        func add(_ change: (inout Record) -> Void) {
            var record = plain
            change(&record)
            changed.append(record)
        }
        if suite.ivLength > 0 { add { $0.iv.removeLast() } }
        add { $0.iv.append(1) }
        add { $0.icv.append(1) }
        add { $0.icv.removeLast() }
        if suite.isAEAD { add { $0.trailer = [1, 2, 3, 4] } }
        if suite.blockLength > 1 { add { $0.text.removeLast() } }
        if !suite.isAEAD { add { $0.text = [] } }
        for record in changed {
            let laid = [LaidOut(record, icvLength: 1, together: true), LaidOut(record, icvLength: 1, together: true)]
            let tickets = [batch.seal(&pair.sealer, laid[0]), batch.open(&pair.opener, laid[1])]
            batch.flush()
            for index in 0..<2 { #expect(try !batch.succeeded(#require(tickets[index])) && laid[index].record == record) }
        }
        let laid = LaidOut(plain, icvLength: 1, together: true)
        let tickets = [batch.open(&pair.sealer, laid), batch.seal(&pair.opener, laid)]
        batch.flush()
        #expect(try tickets.allSatisfy { try !batch.succeeded(#require($0)) } && laid.record == plain)
    }

    @Test("Records longer than the library's lanes count are done all the same", arguments: CryptoEngine.here)
    func longRecords(engine: CryptoEngine) throws {
        for (number, bits, mac) in [
            (EncryptionAlgorithm.aesCBC, 128, IntegrityAlgorithm.hmacSHA1_96), (.chaCha20Poly1305, 0, .none), (.nullAESGMAC, 256, .none),
            (.null, 0, .hmacSHA512_256),
        ] {
            let suite = try #require(ProtectionSuite(encryption: number, keyBits: bits, integrity: mac))
            let pair = try KeyedPair(suite, seed: 6, engine: engine)
            var batch = try RecordBatch(capacity: 8, engine: engine)
            for blocks in [4094, 4095, 4096, 5000] {
                let plain = suite.record(blocks: blocks, seed: 7)
                var expected = plain
                var sealer = try suite.cipher(.seal, seed: 6)
                #expect(sealer.seal(&expected) == true)
                let laid = LaidOut(plain, icvLength: suite.icvLength, together: true)
                let ticket = try #require(batch.seal(&pair.sealer, laid))
                batch.flush()
                #expect(batch.succeeded(ticket) && laid.record == expected, "\(suite.testDescription), \(blocks) blocks")
            }
        }
    }
}
