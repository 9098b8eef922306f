import Config
import GatewayCrypto
import Testing

@testable import Gateway

@Suite("configuration.md: tunnel-group.ID.crypto-engine, who does the cryptography of ESP")
struct CryptoEngineChoiceTests {
    private func groups(_ engine: TunnelGroup.Engine) -> [TunnelGroup] {
        var group = TunnelGroup(id: 1)
        group.engine = engine
        return [group]
    }

    @Test func whatIsNotToBeHadIsRefusedAndSaysWhatIs() throws {
        let error = try #require(throws: StartupError.self) { _ = try Plan.engine(groups(.ipsecMB)) { $0 != .multiBuffer } }
        #expect(error.description.hasPrefix("tunnel-group.1.crypto-engine: ipsec-mb is not to be had ("))
        #expect(error.description.hasSuffix("use auto or openssl"))
    }

    @Test func whatIsAskedForIsTaken() throws {
        #expect(try Plan.engine(groups(.ipsecMB)) { _ in true } == .multiBuffer)
        #expect(try Plan.engine(groups(.openSSL)) { _ in true } == .openSSL)
        #expect(try Plan.engine(groups(.auto)) == .preferred)
        #expect(try Plan.engine([]) == .preferred)
    }
}
