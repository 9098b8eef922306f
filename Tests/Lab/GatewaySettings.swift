/// A gateway's configuration file, as far as scenarios vary it. Everything else is left to the defaults.
package struct GatewaySettings: Sendable {
    /// ike-transform: names of configuration.md.
    package struct IKETransform: Sendable {
        package var dhGroup: String
        package var encryption: String
        package var authentication: String
        package var prf: String
        package init(_ encryption: String, _ authentication: String, _ prf: String, _ dhGroup: String) {
            (self.encryption, self.authentication, self.prf, self.dhGroup) = (encryption, authentication, prf, dhGroup)
        }
    }
    /// ipsec-transform: names of configuration.md.
    package struct IPsecTransform: Sendable {
        package var encryption: String
        package var authentication: String
        package var usesESN: Bool
        /// pfs-dh-group
        package var pfs: String?
        package init(_ encryption: String, _ authentication: String, usesESN: Bool = true, pfs: String? = nil) {
            (self.encryption, self.authentication, self.usesESN, self.pfs) = (encryption, authentication, usesESN, pfs)
        }
    }

    /// A second gateway of the daemon, with a private interface and a pool of its own: 10.98.0.0/24.
    package struct Beside: Sendable {
        package var name: String
        package var address: String
        package var interface: String
        package var namespace: String?
        package var psk = GatewaySettings.psk
        package var isEnabled = true
        package init(_ name: String, address: String, interface: String, namespace: String? = nil) {
            (self.name, self.address, self.interface, self.namespace) = (name, address, interface, namespace)
        }
    }

    package static let psk = "a long and random text of the lab"
    package static let poolPrefix = "10.99.0.0/24"
    package static let interfaceName = "priv0"

    /// Files of a gateway that shows a certificate, or asks for one.
    package struct Certificates: Sendable {
        package var certificate: String
        package var key: String
        /// CAs behind ours in CERT payloads.
        package var sendChain: [String] = []
        /// Whom it trusts.
        package var anchors: [String]
        package var signsByPSS = false
        package init(certificate: String, key: String, anchors: [String]) {
            (self.certificate, self.key, self.anchors) = (certificate, key, anchors)
        }
    }

    package var certificates: Certificates?
    /// The authentication keys of ike-version-2.
    package var authentication = ["auth-method: psk"]
    /// `id: auto`: the certificate's subject, or the name that the client asks for.
    package var hasAutomaticIdentity = false
    package var gatewayAddress = RoadNetwork.gatewayAddress
    package var identity = "gw.test"
    package var psk = GatewaySettings.psk
    package static let poolPrefix6 = "2001:db8:99::/64"

    package var pool = (first: "10.99.0.10", last: "10.99.0.250")
    /// A range of the same pool behind that one.
    package var furtherRange: (first: String, last: String)?
    /// Whether IPv4 addresses are assigned.
    package var assignsIPv4 = true
    /// Whether the private interface has an IPv6 address without a pool: RADIUS gives them.
    package var hasIPv6Interface = false
    /// A pool of IPv6 addresses beside it; nil: none.
    package var pool6: (first: String, last: String)?
    package var dns: [String] = []
    package var dns6: [String] = []
    /// Seconds an address is kept for its identity.
    package var leaseHoldTime = 3600
    /// Empty: the default proposals.
    package var ikeTransforms: [IKETransform] = []
    package var ipsecTransforms: [IPsecTransform] = []
    /// ike-policy: ipsec-lifetime, seconds.
    package var ipsecLifetime: Int?
    package var dpd = (interval: 30, maxRetries: 3)
    /// Prefixes of the gateway's ts-list; empty: no list.
    package var selectors: [String] = []
    package var ipMTU: Int?
    package var clearsDF = false
    /// encapsulated-ip-mtu
    package var encapsulatedMTU: Int?
    /// Of outer packets; nil: the inner ones'.
    package var dscp: Int?
    /// tunnel-group: reassembly
    package var reassembles = true
    /// reassembly: max-wait-time, milliseconds
    package var reassemblyTime = 2000
    /// propagate-pmtu
    package var propagatesPathMTU: Bool?
    package var workers = 2
    /// auto | ipsec-mb | openssl
    package var cryptoEngine: String?
    /// `busy-poll`, microseconds.
    package var busyPoll = 0
    package var forcesEncapsulation = true
    /// ikev2-fragment: mtu
    package var fragmentMTU: Int?
    /// Seconds.
    package var authenticationLifetime: Int?
    package var keepAliveInterval: Int?
    /// half-open: cookie-threshold; 0: every login needs a cookie.
    package var cookieThreshold: Int?
    /// Lifetimes far below those of a configuration, such as `ipsec=20,isakmp=30,packets=3000`.
    package var shortLifetimes: String?
    /// Offloads to be used: none, tun, udp; nil: all that there are.
    package var offloads: String?
    /// What a debug build's kernel shall lack, in the words of `IPSEC_GW_LACKING`.
    package var lacking: String?
    /// The daemon's environment, as `env` takes it.
    var environment: [String] {
        [("LIFETIMES", shortLifetimes), ("OFFLOADS", offloads), ("LACKING", lacking)]
            .compactMap { name, value in value.map { "IPSEC_GW_\(name)=\($0)" } }
    }
    package var logLevel = "debug"
    /// Address and port of the Prometheus listener.
    package var metrics: (address: String, port: Int)?
    /// replace | keep | never
    package var uniqueness: String?
    /// reject | replace-oldest
    package var sessionLimit: (count: Int, action: String)?
    package var beside: Beside?
    /// nil: no RADIUS server.
    package var radius: GatewayRADIUSSettings?
    /// A private service by name, id, interface and address, beside `home` (1, priv0).
    package var furtherServices: [(name: String, id: Int, interface: String, address: String)] = []
    /// Further tunnel-templates by id, and further ts-lists by name: keys as the file has them, and prefixes.
    package var furtherTemplates: [Int: [String]] = [:]
    package var furtherLists: [String: [String]] = [:]

    package init() {}

    /// The file; the control socket and the state are below `folder`.
    package func yaml(folder: String) -> String {
        var text = """
            management:
              control-socket: \(folder)/control.sock
              state-directory: \(folder)/state
              log: { level: \(logLevel), format: text }

            """
        text += radius?.spoolText ?? ""
        if let metrics { text += "  metrics: { address: \(metrics.address), port: \(metrics.port) }\n" }
        text += radius?.sections ?? ""
        text += """
            tunnel-group: { 1: { workers: \(workers)\(cryptoEngine.map { ", crypto-engine: \($0)" } ?? "")\(busyPoll > 0 ? ", busy-poll: \(busyPoll)" : "")\(reassembles ? ", reassembly: { max-wait-time: \(reassemblyTime) }" : "") } }
            service:
              home: { id: 1, interface: { \(Self.interfaceName): { address: [10.99.0.1/24\(pool6 == nil && !hasIPv6Interface ? "" : ", \"2001:db8:99::1/64\"")] } } }

            """
        for service in furtherServices {
            text += "  \(service.name): { id: \(service.id), interface: { \(service.interface): { address: [\(service.address)] } } }\n"
        }
        if let beside {
            let namespace = beside.namespace.map { ", network-namespace: \($0)" } ?? ""
            text += "  beside: { id: 2, interface: { \(beside.interface): { address: [10.98.0.1/24]\(namespace) } } }\n"
        }
        text += """
            local-dhcp-server:
              rw:
                pool:
                  all:
                    subnet: \(Self.poolPrefix)
                    range: [\(ranges.joined(separator: ", "))]
                    lease-hold-time: \(leaseHoldTime)

            """
        if !dns.isEmpty { text += "        dns: [\(dns.joined(separator: ", "))]\n" }
        if let pool6 {
            text += "      six:\n        subnet: \"\(Self.poolPrefix6)\"\n"
            text += "        range: [{ begin: \"\(pool6.first)\", end: \"\(pool6.last)\" }]\n        lease-hold-time: \(leaseHoldTime)\n"
            if !dns6.isEmpty { text += "        dns: [\(dns6.map { "\"\($0)\"" }.joined(separator: ", "))]\n" }
        }
        if beside != nil {
            text += "      beside: { subnet: 10.98.0.0/24, range: [{ begin: 10.98.0.10, end: 10.98.0.250 }] }\n"
        }
        if let certificates {
            text += "pki:\n  ca-profile:\n"
            for (index, file) in (certificates.anchors + certificates.sendChain).enumerated() {
                text += "    ca\(index): { cert-file: \(file), revocation-check: none }\n"
            }
        }
        text += "ipsec:\n" + (radius?.policies ?? "")
        if let certificates {
            let anchors = certificates.anchors.indices.map { "ca\($0)" }.joined(separator: ", ")
            let chain = certificates.sendChain.indices.map { "ca\($0 + certificates.anchors.count)" }.joined(separator: ", ")
            let send = chain.isEmpty ? "" : ", send-chain: { ca-profile: [\(chain)] }"
            let signature = certificates.signsByPSS ? ", rsa-signature: pss" : ""
            text += "  cert-profile: { own: { entry: { 1: { cert: \(certificates.certificate), key: \(certificates.key)\(signature)\(send) } } } }\n"
            text += "  trust-anchor-profile: { lab: { trust-anchor: [\(anchors)] } }\n"
        }
        if !ikeTransforms.isEmpty {
            text += "  ike-transform:\n"
            for (index, transform) in ikeTransforms.enumerated() {
                text += "    \(index + 1): { dh-group: \(transform.dhGroup), ike-encryption-algorithm: \(transform.encryption), "
                text += "ike-auth-algorithm: \(transform.authentication), ike-prf-algorithm: \(transform.prf) }\n"
            }
        }
        if !ipsecTransforms.isEmpty {
            text += "  ipsec-transform:\n"
            for (index, transform) in ipsecTransforms.enumerated() {
                text += "    \(index + 1): { esp-encryption-algorithm: \(transform.encryption), esp-auth-algorithm: \(transform.authentication), "
                text += "extended-sequence-number: \(transform.usesESN)\(transform.pfs.map { ", pfs-dh-group: \($0)" } ?? "") }\n"
            }
        }
        var version2 = authentication
        if let authenticationLifetime { version2.append("auth-lifetime: \(authenticationLifetime)") }
        if let fragmentMTU { version2.append("ikev2-fragment: { mtu: \(fragmentMTU) }") }
        text += "  ike-policy:\n    1:\n      ike-version-2: { \(version2.joined(separator: ", ")) }\n"
        if !ikeTransforms.isEmpty { text += "      ike-transform: [\(list(ikeTransforms.count))]\n" }
        let keepAlive = keepAliveInterval.map { ", keep-alive-interval: \($0)" } ?? ""
        text += "      nat-traversal: { force: \(forcesEncapsulation)\(keepAlive) }\n"
        text += "      dpd: { interval: \(dpd.interval), max-retries: \(dpd.maxRetries) }\n"
        if let ipsecLifetime { text += "      ipsec-lifetime: \(ipsecLifetime)\n" }
        if let cookieThreshold { text += "      half-open: { cookie-threshold: \(cookieThreshold) }\n" }
        var template: [String] = []
        if !ipsecTransforms.isEmpty { template.append("ipsec-transform: [\(list(ipsecTransforms.count))]") }
        if let ipMTU { template.append("ip-mtu: \(ipMTU)") }
        if let encapsulatedMTU { template.append("encapsulated-ip-mtu: \(encapsulatedMTU)") }
        if let propagatesPathMTU { template.append("propagate-pmtu: \(propagatesPathMTU)") }
        if let dscp { template.append("dscp: \(dscp)") }
        if clearsDF { template.append("clear-df-bit: true") }
        let templates = furtherTemplates.merging([1: template]) { $1 }.sorted { $0.key < $1.key }
        text += "  tunnel-template: { \(templates.map { "\($0): { \($1.joined(separator: ", ")) }" }.joined(separator: ", ")) }\n"
        let lists = furtherLists.merging(selectors.isEmpty ? [:] : ["lab": selectors]) { $1 }.sorted { $0.key < $1.key }
        if !lists.isEmpty { text += "  ts-list:\n" }
        for (name, prefixes) in lists {
            let entries = prefixes.enumerated().map { "\($0 + 1): { address: { prefix: \"\($1)\" } }" }
            text += "    \(name): { local: { entry: { \(entries.joined(separator: ", ")) } } }\n"
        }
        text += """
            ipsec-gateway:
              rw:
                sap: \(GatewayRADIUSSettings.nasPortID)
                ike-policy: 1
                tunnel-group: 1
                default-tunnel-template: 1
                default-secure-service: { service-name: home, interface: \(Self.interfaceName) }
                local:
                  gateway-address: "\(gatewayAddress)"
                  id: \(hasAutomaticIdentity ? "auto" : "{ fqdn: \(identity) }")
                  \(assignment.isEmpty ? "" : "address-assignment: { \(assignment) }")
                pre-shared-key: "\(psk)"

            """
        text += radius?.reference ?? ""
        if certificates != nil { text += "    cert: { cert-profile: own, trust-anchor-profile: lab }\n" }
        if !selectors.isEmpty { text += "    ts-list: lab\n" }
        if let uniqueness { text += "    uniqueness: \(uniqueness)\n" }
        if let sessionLimit {
            text += "    max-sessions-per-user: \(sessionLimit.count)\n    session-limit-action: \(sessionLimit.action)\n"
        }
        if let beside {
            text += """
                  \(beside.name):
                    admin-state: \(beside.isEnabled ? "enable" : "disable")
                    ike-policy: 1
                    tunnel-group: 1
                    default-tunnel-template: 1
                    default-secure-service: { service-name: beside, interface: \(beside.interface) }
                    local:
                      gateway-address: "\(beside.address)"
                      id: { fqdn: \(identity) }
                      address-assignment: { ipv4: { dhcp-server: rw, pool: beside } }
                    pre-shared-key: "\(beside.psk)"

                """
        }
        return text
    }

    private var ranges: [String] { [pool, furtherRange].compactMap { $0 }.map { "{ begin: \($0.first), end: \($0.last) }" } }

    private var assignment: String {
        var families = assignsIPv4 ? ["ipv4: { dhcp-server: rw, pool: all }"] : []
        if pool6 != nil { families.append("ipv6: { dhcp-server: rw, pool: six }") }
        return families.joined(separator: ", ")
    }

    private func list(_ count: Int) -> String { (1...count).map(String.init).joined(separator: ", ") }
}
