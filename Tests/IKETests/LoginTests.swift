import GatewayTesting
import IKE
import IKEMessages
import RoadWarrior
import Testing
import Wire

@Suite struct LoginTests {
    @Test("a login with a shared key, RFC 7296 section 1.2")
    func login() throws {
        let pair = try Pair.established()
        let clock = ContinuousClock()
        let spent = try clock.measure { for seed in 0..<200 { _ = try Pair.established(seed: UInt64(seed)) } }
        print("login", spent / 200)
        let child = try #require(pair.entry?.children.first)
        #expect(pair.client.childSA?.inboundSPI == child.outboundSPI)
        #expect(pair.client.childSA?.outboundSPI == child.inboundSPI)
        pair.close()
        pair.drain()
        #expect(pair.violations == [])
        #expect(pair.gateway.leftovers == [])
    }
}
