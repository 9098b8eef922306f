import ESP
import IKE
import Testing
import Wire

@testable import Gateway
@testable import RADIUS

@Suite("Access-Accept, as it acts on a session")
struct AuthorizationTests {
    private let plan: Plan
    private let gateway: GatewayRuntime

    init() throws {
        plan = try RADIUSGateway.plan()
        gateway = try RADIUSGateway.runtime(plan)
    }

    private func authorize(
        _ gateway: GatewayRuntime? = nil, _ change: (inout AccessAccept) throws -> Void
    ) throws -> Authorization {
        var accept = AccessAccept()
        try change(&accept)
        return try Authorization(
            accept, server: "aaa0", userName: Array("alice".utf8), acctSessionID: "s", gateway: gateway ?? self.gateway,
            remote: IPAddress(v4: 0xcb00_7109))
    }

    private func refusal(_ gateway: GatewayRuntime? = nil, _ change: (inout AccessAccept) -> Void) -> AuthorizationRefusal? {
        do {
            _ = try authorize(gateway, change)
            return nil
        } catch {
            return error as? AuthorizationRefusal
        }
    }

    @Test("nothing said: everything is the gateway's own")
    func RAD_5_nothing() throws {
        let plain = try authorize { _ in }
        #expect(plain.gateway.interfaceKey == gateway.interfaceKey && plain.gateway.template == gateway.template)
        #expect(plain.addresses.isEmpty && plain.terms == ChildTerms() && plain.dns == nil && !plain.setsReplayWindow)
    }

    @Test(
        "RAD-5: Alc-IPsec-Serv-Id and -Interface move the session, with the prefixes of where it goes",
        arguments: [
            (20, nil, "guests/guest0"), (10, nil, "home/priv0"), (nil, "priv1", "home/priv1"), (10, "priv1", "home/priv1"), (30, "c1", "crowd/c1"),
        ] as [(UInt32?, String?, String)])
    func RAD_5_moved(service: UInt32?, interface: String?, key: String) throws {
        let moved = try authorize {
            $0.serviceID = service
            $0.interface = interface
        }.gateway
        #expect(moved.interfaceKey == key && moved.serviceID == Int(service ?? 10) && moved.service == String(key.prefix { $0 != "/" }))
        #expect(moved.ownAddresses.allSatisfy { moved.hasPrefix(of: $0) } && !moved.prefixes.isEmpty)
        #expect((moved.prefixes == gateway.prefixes) == (key == "home/priv0"))
    }

    @Test(
        "RAD-5: a service or interface that is not there, or of which there are several, refuses the login",
        arguments: [(99, nil), (nil, "none"), (20, "priv1"), (30, nil)] as [(UInt32?, String?)])
    func RAD_5_nowhere(service: UInt32?, interface: String?) {
        let refused = refusal {
            $0.serviceID = service
            $0.interface = interface
        }
        #expect(refused?.cause.contains("which the configuration does not have") == true && refused?.isAboutAddress == false)
    }

    @Test("RAD-5: Alc-IPsec-Tunnel-Template-Id and -SA-Replay-Window; the window said wins over the template's")
    func RAD_5_template() throws {
        let other = try authorize { $0.tunnelTemplate = 2 }
        #expect(other.gateway.template.replayWindow == 64 && other.gateway.template.ipMTU == 1300 && other.setsReplayWindow)
        #expect(other.terms.transforms?.first?.encryption == [EncryptionChoice(.aesCBC, keyBits: 256)])
        let both = try authorize {
            $0.tunnelTemplate = 2
            $0.replayWindow = 1024
        }
        #expect(both.gateway.template.replayWindow == 1024 && both.gateway.template.ipMTU == 1300)
        let window = try authorize { $0.replayWindow = 128 }
        #expect(window.gateway.template.replayWindow == 128 && window.setsReplayWindow && window.terms.transforms == nil)
        #expect(refusal { $0.tunnelTemplate = 3 }?.cause.contains("tunnel-template 3") == true)
    }

    @Test("RAD-5: -SA-Encr-Algorithm and -SA-Auth-Algorithm take the place of the template's; what does not go together is refused")
    func RAD_5_algorithms() throws {
        let encryption = try authorize { $0.encryption = SAEncryption(alcatel: 6) }.terms.transforms?.first
        #expect(encryption?.encryption == [EncryptionChoice(.aesCBC, keyBits: 256)] && encryption?.integrity == [.hmacSHA256_128])
        let both = try authorize {
            $0.encryption = SAEncryption(alcatel: 4)
            $0.integrity = SAIntegrity(alcatel: 5)
        }.terms.transforms?.first
        #expect(both?.encryption == [EncryptionChoice(.aesCBC, keyBits: 128)] && both?.integrity == [.hmacSHA384_192])
        let integrity = try authorize {
            $0.tunnelTemplate = 2
            $0.integrity = SAIntegrity(alcatel: 6)
        }.terms.transforms?.first
        #expect(integrity?.integrity == [.hmacSHA512_256] && integrity?.encryption == [EncryptionChoice(.aesCBC, keyBits: 256)])
        #expect(refusal { $0.integrity = SAIntegrity(alcatel: 4) }?.cause.contains("do not go together") == true)
    }

    @Test("RAD-5, X-3: lifetime, PFS group, Filter-Id, routes and Session-Timeout are the Child SA's terms")
    func RAD_5_terms() throws {
        let route = try #require(IPPrefix("192.168.7.0/24"))
        let delegated = try #require(IPPrefix("2001:db8:8::/56"))
        let terms = try authorize {
            $0.saLifetime = .seconds(7200)
            $0.pfsGroup = .modp2048
            $0.filterID = "printers"
            $0.routes = [route]
            $0.delegatedIPv6Prefixes = [delegated]
            $0.sessionTimeout = .seconds(600)
        }.terms
        #expect(terms.lifetime == .seconds(7200) && terms.keyExchange == .modp2048 && terms.sessionLifetime == .seconds(600))
        #expect(terms.selectors == gateway.aaa.named.selectors["printers"] && terms.selectors != nil)
        #expect(terms.clientNetworks == [route, delegated])
        #expect(refusal { $0.filterID = "unheard" }?.cause.contains("ts-list unheard") == true)
        let most = ChildTerms.mostClientNetworks
        let many = (0...most).map { IPPrefix(host: IPAddress(v4: 0x0a07_0000 | UInt32($0))) }
        #expect(refusal { $0.routes = many }?.cause.contains("more than \(most)") == true)
        #expect(refusal { $0.routes = many.dropLast() } == nil)
    }

    @Test("X-3: a network behind the client that holds its outer address, or the gateway's, is refused: its route would lead ESP into the tunnel")
    func X_3_networkAroundTheTunnel() throws {
        let everything = try #require(IPPrefix(IPAddress(v4: 0), length: 0))
        let around = try #require(IPPrefix(IPAddress(v4: 0xcb00_7100), length: 24))
        let own = IPPrefix(host: gateway.address)
        for network in [everything, around, own] {
            #expect(refusal { $0.routes = [network] }?.cause.contains("\(network)") == true, "\(network)")
        }
        let beside = try #require(IPPrefix(IPAddress(v4: 0xcb00_7200), length: 24))
        #expect(try authorize { $0.routes = [beside] }.terms.clientNetworks == [beside])
    }

    @Test("ADDR-2: where RADIUS assigns, Framed-IP-Address and Framed-Pool say what; the client's choice and ours are the pool's")
    func ADDR_2_addresses() throws {
        let address = try #require(IPAddress("10.99.0.77"))
        #expect(try authorize { $0.framedIPAddress = .address(address) }.addresses == [.ipv4: .exact(address)])
        for special in [AccessAccept.FramedAddress.choose, .clientsWish] {
            #expect(try authorize { $0.framedIPAddress = special }.addresses.isEmpty)
            let pool = try authorize {
                $0.framedIPAddress = special
                $0.framedPool = "all"
            }.addresses
            #expect(pool.count == 1 && "\(pool)".contains("pool"))
        }
        #expect(try authorize { $0.framedPool = "rw/all" }.addresses == authorize { $0.framedPool = "all" }.addresses)
        let unknown = refusal { $0.framedPool = "none" }
        #expect(unknown?.isAboutAddress == true && unknown?.cause.contains("pool none") == true)
    }

    @Test("ADDR-3: a local pool of the family suppresses what RADIUS says of addresses; everything else counts")
    func ADDR_3_suppressed() throws {
        let own = try RADIUSGateway.runtime(try RADIUSGateway.plan(pool: true))
        let address = try #require(IPAddress("10.99.0.77"))
        let host = try #require(IPAddress("2001:db8:99::5"))
        let given = try authorize(own) {
            $0.framedIPAddress = .address(address)
            $0.framedPool = "none"
            $0.framedIPv6Address = host
            $0.sessionTimeout = .seconds(60)
        }
        #expect(given.addresses == [.ipv6: .exact(host)] && given.terms.sessionLifetime == .seconds(60))
        // Elsewhere the gateway's pool does not fit: the server must say which address.
        let moved = try authorize(own) {
            $0.serviceID = 20
            $0.framedIPAddress = .address(address)
        }
        #expect(moved.addresses == [.ipv4: .exact(address)] && moved.gateway.pools.isEmpty)
    }

    @Test(
        "V6-3: Framed-IPv6-Address, else the prefix: /128 as it is, with Framed-Interface-Id, or a host part of ours",
        arguments: [
            ("2001:db8:99::9", "2001:db8:99::/64", 7, "2001:db8:99::9"), (nil, "2001:db8:99::5/128", nil, "2001:db8:99::5"),
            (nil, "2001:db8:99::/64", 7, "2001:db8:99::7"), (nil, "2001:db8:99::/64", nil, nil),
        ] as [(String?, String, UInt64?, String?)])
    func V6_3_prefixes(address: String?, prefix: String, identifier: UInt64?, host: String?) throws {
        let prefix = try #require(IPPrefix(prefix))
        let given = try authorize {
            $0.framedIPv6Address = address.flatMap { IPAddress($0) }
            $0.framedIPv6Prefix = prefix
            $0.framedInterfaceID = identifier
        }
        #expect(given.addresses == [.ipv6: host.flatMap { IPAddress($0) }.map { .exact($0) } ?? .within(prefix)])
    }

    @Test("RAD-6: two DNS servers of each family, in order")
    func RAD_6_dns() throws {
        let (four, six) = ([IPAddress(v4: 1), IPAddress(v4: 2)], [IPAddress(family: .ipv6, value: 3), IPAddress(family: .ipv6, value: 4)])
        let given = try authorize {
            $0.ipv4DNS = four
            $0.ipv6DNS = six
        }
        #expect(given.dns == four + six)
    }
}
