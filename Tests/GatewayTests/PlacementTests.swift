import ESP
import GatewayTesting
import IKE
import IKEMessages
import RADIUS
import Testing
import Wire

@testable import Gateway

@Suite("A reload and the addresses of gateways: configuration.md, Reload")
struct PlacementTests {
    private static let (first, second, third) = (IPAddress(v4: 0xc000_0201), IPAddress(v4: 0xc000_0202), IPAddress(v4: 0xc000_0203))

    private func gateways(_ places: [String: IPAddress], choosesIdentity: Bool = false) -> [IPAddress: GatewayRuntime] {
        Dictionary(
            uniqueKeysWithValues: places.map { name, address in
                var profile = Pair.profile()
                profile.name = name
                if choosesIdentity { profile.identity = Plan.identity(of: address) }
                return (
                    address,
                    GatewayRuntime(
                        .init(
                            name: name, address: address, profile: profile, certificates: GatewayCertificates(), choosesIdentity: choosesIdentity,
                            template: TunnelTemplate(id: 1), service: "home", serviceID: 1, interface: "priv0", networkNamespace: nil,
                            interfaceKey: "home/priv0",
                            prefixes: [], ownAddresses: [], aaa: GatewayAAA(nas: NASDescription(identifier: "gateway", address: nil)), pools: [:],
                            uniqueness: .replace, maximumSessionsPerUser: 0, sessionLimitAction: .reject))
                )
            })
    }

    private func names(_ placement: Placement) -> [IPAddress: String] { placement.served.mapValues(\.name) }

    @Test("a gateway whose address changed stays where its clients are until the next start, with its identity")
    func reload_movedGatewayStays() {
        let running = gateways(["rw": Self.first], choosesIdentity: true)
        let placement = Placement(of: gateways(["rw": Self.second], choosesIdentity: true), running: running, listeners: [Self.first])
        #expect(names(placement) == [Self.first: "rw"] && placement.waiting == [])
        #expect(placement.served[Self.first]?.address == Self.first)
        #expect(placement.served[Self.first]?.profile.identity == Plan.identity(of: Self.first))
    }

    @Test("two that change places do so at the next start")
    func reload_exchangedAddresses() {
        let running = gateways(["a": Self.first, "b": Self.second])
        let placement = Placement(of: gateways(["a": Self.second, "b": Self.first]), running: running, listeners: [Self.first, Self.second])
        #expect(names(placement) == [Self.first: "a", Self.second: "b"])
    }

    @Test("a new gateway needs an address that is listened at and free; who waits is named once")
    func reload_newGateway() {
        let running = gateways(["a": Self.first])
        let listeners: Set<IPAddress> = [Self.first, Self.second]
        #expect(names(Placement(of: gateways(["a": Self.first, "b": Self.second]), running: running, listeners: listeners)).count == 2)
        let elsewhere = Placement(of: gateways(["a": Self.first, "b": Self.third]), running: running, listeners: listeners)
        #expect(names(elsewhere) == [Self.first: "a"] && elsewhere.restarts(beside: []) == ["ipsec-gateway.b"])
        #expect(elsewhere.restarts(beside: ["ipsec-gateway.b"]) == [])
        // The one that moves is still there.
        let taken = Placement(of: gateways(["a": Self.second, "b": Self.first]), running: running, listeners: listeners)
        #expect(names(taken) == [Self.first: "a"] && taken.waiting == ["b"])
        // One that is gone makes room.
        #expect(names(Placement(of: gateways(["b": Self.first]), running: running, listeners: listeners)) == [Self.first: "b"])
    }
}
