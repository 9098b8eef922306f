import Glibc
import Lab
import Testing

/// How our own client reaches its gateway with native ESP, for the suites about what Debian's strongSwan cannot do.
///
/// ```
///  ipsec-load 198.51.101.2 ------+-- internet --+-- 192.0.2.1     gateway 10.20.0.1 -------+- 10.20.0.2     host
///             2001:db8:101::2 ---+              +-- 2001:db8:1::1         2001:db8:20::1 --+- 2001:db8:20::2
/// ```
struct OwnClientWay: Sendable, CustomTestStringConvertible {
    let outer: Int
    let esp: String
    var testDescription: String { "IPv\(outer), \(esp)" }
    var gateway: String { outer == 6 ? RoadNetwork.gatewayAddress6 : RoadNetwork.gatewayAddress }
    var usesESN: Bool { esp.hasSuffix("-esn") }

    /// Both families outside, with and without ESN, AEAD and not.
    static let all = [
        OwnClientWay(outer: 4, esp: "aes256gcm16-esn"), OwnClientWay(outer: 4, esp: "aes128-sha256-noesn"),
        OwnClientWay(outer: 6, esp: "aes256gcm16-noesn"), OwnClientWay(outer: 6, esp: "aes128-sha256-esn"),
    ]

    func build(_ scenario: Scenario, _ change: (inout GatewaySettings) -> Void = { _ in }) async throws -> Road {
        var settings = GatewaySettings()
        settings.gatewayAddress = gateway
        settings.pool6 = (first: "2001:db8:99::100", last: "2001:db8:99::1ff")
        settings.forcesEncapsulation = false
        change(&settings)
        return try await Road.build(scenario, ipv6: true, settings)
    }

    func connect(_ road: Road, _ more: [String] = []) async throws -> LabProcess {
        let words = [
            "connect", "--yes-this-is-my-gateway", "--gateway", gateway, "--psk", GatewaySettings.psk, "--id", "carol.test", "--remote-id",
            "gw.test", "--native-esp", "--inner", "dual", "--esp", esp, "--tun", "rw0", "--route", RoadNetwork.lan, RoadNetwork.lan6,
        ]
        let load = try await road.network.clients[0].start("ipsec-load", [try Programs.path("ipsec-load")] + words + more)
        _ = try await load.waitForLine(containing: "connected inner=")
        return load
    }

    func innerAddresses(_ load: LabProcess) throws -> (four: String, six: String) {
        let line = try #require(load.output.split(separator: "\n").first { $0.contains("connected inner=") })
        let list = try #require(line.split(separator: " ").first { $0.hasPrefix("inner=") }).dropFirst(6).split(separator: ",").map(String.init)
        return (try #require(list.first { $0.contains(".") }), try #require(list.first { $0.contains(":") }))
    }

    /// The client leaves, and the gateway has no session left.
    func end(_ load: LabProcess, _ road: Road) async throws {
        load.signal(SIGTERM)
        #expect(try await load.wait(timeout: .seconds(10)) == .exited(0))
        try await road.gateway.waitForSessions(0)
    }
}
