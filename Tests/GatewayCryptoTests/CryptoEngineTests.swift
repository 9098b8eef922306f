import Foundation
import Testing
import Wire

@testable import GatewayCrypto

@Suite("Crypto engines")
struct CryptoEngineTests {
    @Test("Multi-buffer is there where the processor has instructions for AES and the build has the library")
    func whatIsHere() throws {
        print("engines here: \(CryptoEngine.here.map { "\($0.rawValue): \($0.library)" })")
        #expect(CryptoEngine.openSSL.isAvailable)
        #if MULTI_BUFFER
        let flags =
            try String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8).split(separator: "\n")
            .first { $0.hasPrefix("flags") }?.split(separator: " ") ?? []
        #expect(CryptoEngine.multiBuffer.isAvailable == (flags.contains("aes") && flags.contains("pclmulqdq")))
        #else
        #expect(!CryptoEngine.multiBuffer.isAvailable)
        #endif
    }

    @Test("The best is preferred until another is chosen; one that is not here is refused")
    func choice() async {
        // In a process of its own: the choice is the process's.
        await #expect(processExitsWith: .success) {
            let best = CryptoEngine.multiBuffer.isAvailable ? CryptoEngine.multiBuffer : .openSSL
            #expect(CryptoEngine.preferred == best)
            #expect(CryptoEngine.choose(.openSSL) && CryptoEngine.preferred == .openSSL)
            #expect(CryptoEngine.choose(.multiBuffer) == CryptoEngine.multiBuffer.isAvailable)
            #expect(CryptoEngine.preferred == best)
        }
    }

    @Test("Keys for an engine that is not here make no cipher and no batch")
    func absentEngine() throws {
        guard !CryptoEngine.multiBuffer.isAvailable else { return }
        for suite in ProtectionSuite.all {
            #expect(throws: CryptoError.unsupported) {
                let cipher = try suite.cipher(.seal, seed: 1, engine: .multiBuffer)
                _ = cipher.suite
            }
        }
        #expect(throws: CryptoError.unsupported) {
            let batch = try RecordBatch(capacity: 1, engine: .multiBuffer)
            _ = batch.capacity
        }
    }

    @Test("Which suites the multi-buffer engine does itself, and which it does in batches")
    func whoDoesWhat() throws {
        guard CryptoEngine.multiBuffer.isAvailable else { return }
        for suite in ProtectionSuite.all {
            let cipher = try suite.cipher(.seal, seed: 1, engine: .multiBuffer)
            let isHMAC = ![IntegrityAlgorithm.none, .aesXCBC_96].contains(suite.integrity)
            let isBatched =
                [.chaCha20Poly1305, .nullAESGMAC].contains(suite.encryption) || isHMAC && [.aesCBC, .null].contains(suite.encryption)
            #expect(cipher.isBatched == isBatched, "\(suite.testDescription)")
        }
    }
}
