import GatewayTesting
import IKE
import IKEMessages
import RoadWarrior
import Synchronization
import Testing
import Wire

/// The client whose packets another carries: SPIs come from there, keys go there, and what passes is told here.
struct CarriedTests {
    /// SPIs in order, and the keys that were told.
    private final class Carrier: Sendable {
        let state = Mutex((next: UInt32(0x0100_0040), told: [UInt32]()))

        func apply(to settings: inout RoadWarrior.Settings) {
            settings.childSPI = { [self] in
                state.withLock { state in
                    defer { state.next += 64 }
                    return state.next
                }
            }
            settings.childKeyLog = { [self] keys in state.withLock { $0.told.append(keys.facts.inboundSPI) } }
        }

        var told: [UInt32] { state.withLock { $0.told } }
    }

    private func rekeys(_ pair: Pair) -> [Bool] {
        pair.client.events.compactMap { if case .childRekeyed(_, _, let byUs) = $0 { byUs } else { nil } }
    }

    @Test func spisAreTheCarriersAndKeysAreTold() throws {
        let carrier = Carrier()
        let pair = try Pair.established(seed: 1, profile: Pair.profile { _ in }) { carrier.apply(to: &$0) }
        #expect(pair.client.childSA?.inboundSPI == 0x0100_0040 && pair.client.childSPIs == [0x0100_0040])
        pair.act(pair.client) { $0.rekeyChild(at: $1, into: &$2) }
        // Asked for, and not made yet
        #expect(pair.client.childSPIs == [0x0100_0040, 0x0100_0080])
        pair.settle()
        #expect(pair.client.childSA?.inboundSPI == 0x0100_0080 && pair.client.childSPIs == [0x0100_0080])
        #expect(carrier.told == [0x0100_0040, 0x0100_0080])
    }

    @Test func anSPIOfNobodyIsDrawn() throws {
        let pair = try Pair.established(seed: 2, profile: Pair.profile { _ in }) { $0.childSPI = { nil } }
        #expect(try #require(pair.client.childSA).inboundSPI >= 256)
    }

    @Test func RFC7296_2_8_theGatewaysFirstPacketOnWhatItMade() throws {
        let pair = try Pair.established(seed: 3, profile: Pair.profile { _ in })
        let old = try #require(pair.client.childSA)
        pair.wire.fate = { $0.is(.informational, response: false, fromClient: false) ? .hold : .deliver }
        pair.feed(.childAging(spi: old.outboundSPI))
        pair.settle()
        #expect(rekeys(pair) == [false] && pair.client.childSA == old, "its Delete of the old one has not come yet")
        let new = try #require(pair.client.childSPIs.first { $0 != old.inboundSPI })
        pair.client.warrior.heard(onChild: old.inboundSPI, at: pair.now)
        #expect(pair.client.childSA == old)
        pair.client.warrior.heard(onChild: new, at: pair.now)
        #expect(pair.client.childSA?.inboundSPI == new)
    }

    @Test func packetsAreSignsOfLifeAndKeepTheNATOpen() throws {
        let pair = try Pair.established(seed: 4, profile: Pair.profile { _ in }) {
            $0.natClaim = .behindNAT
            $0.natKeepalive = .seconds(10)
            $0.liveness = .seconds(10)
        }
        pair.run(for: .seconds(6))
        let before = pair.client.octetsOut
        pair.client.warrior.heard(at: pair.now)
        pair.client.warrior.sent(at: pair.now)
        pair.run(for: .seconds(9))
        #expect(pair.client.octetsOut == before)
        pair.run(for: .seconds(3))
        #expect(pair.client.octetsOut > before)
    }
}
