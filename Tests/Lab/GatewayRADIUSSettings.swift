import Foundation

/// What a gateway's file says of RADIUS: router: radius-server, aaa: radius, ipsec: radius.
package struct GatewayRADIUSSettings: Sendable {
    package struct Server: Sendable {
        package var name: String
        package var address: String
        package var secret = FreeRADIUSSettings.secret
        package var acceptsCoA = true
        package var requiresMessageAuthenticator = true
        /// nil: 1813
        package var accountingPort: Int?
        package init(_ name: String, address: String) { (self.name, self.address) = (name, address) }
    }

    package static let nasPortID = "tunnel-1.public:100"
    /// system: name
    package static let nasIdentifier = "gw-1"

    package var servers: [Server]
    /// direct | round-robin
    package var algorithm = "direct"
    /// Seconds to the first retransmission; retransmissions; seconds a dead server is left alone.
    package var timers = (timeout: 1, retryCount: 2, holdDownTime: 5)
    /// Of the authentication-policy; nil: none.
    package var password: String?
    package var accounts = true
    /// Minutes; 0 sends no interim record.
    package var updateInterval = 0
    /// Whether every optional attribute is sent.
    package var sendsAll = true
    package var strictIdentification = false
    /// accounting-spool: size as configuration.md writes it, and refuse-logins | drop-oldest-interim
    package var spool: (size: String, whenFull: String)?

    package init(_ servers: Server...) { self.servers = servers }

    var spoolText: String {
        spool.map { "  accounting-spool: { maximum-size: \($0.size), when-full: \($0.whenFull) }\n" } ?? ""
    }

    /// The sections system, router and aaa.
    var sections: String {
        var text = "system: { name: \(Self.nasIdentifier) }\nrouter:\n  radius-server:\n"
        for server in servers {
            text += "    \(server.name): { address: \"\(server.address)\", secret: \"\(server.secret)\", accept-coa: \(server.acceptsCoA), "
            if let port = server.accountingPort { text += "accounting-port: \(port), " }
            text += "require-message-authenticator: \(server.requiresMessageAuthenticator) }\n"
        }
        let names = servers.map(\.name).joined(separator: ", ")
        return text + """
            aaa:
              radius:
                server-policy:
                  lab: { server: [\(names)], access-algorithm: \(algorithm), timeout: \(timers.timeout), retry-count: \(timers.retryCount), hold-down-time: \(timers.holdDownTime) }
                dynamic-authorization: { port: 3799, event-timestamp-window: 300, strict-identification: \(strictIdentification) }

            """
    }

    /// ipsec: radius
    var policies: String {
        let common = "called-station-id, calling-station-id, nas-identifier, nas-ip-addr, nas-port-id".components(separatedBy: ", ")
        let accounting = common + ["framed-ip-addr", "framed-ipv6-prefix"]
        func attributes(_ names: [String]) -> String {
            sendsAll ? ", include-radius-attribute: { \(names.map { "\($0): true" }.joined(separator: ", ")) }" : ""
        }
        let password = password.map { ", password: \"\($0)\"" } ?? ""
        var text = "  radius:\n    authentication-policy: { lab: { radius-server-policy: lab\(password)\(attributes(common)) } }\n"
        if accounts {
            text +=
                "    accounting-policy: { lab: { radius-server-policy: lab, update-interval: { value: \(updateInterval) }\(attributes(accounting)) } }\n"
        }
        return text
    }

    /// In the ipsec-gateway.
    var reference: String { "    radius: { authentication-policy: lab\(accounts ? ", accounting-policy: lab" : "") }\n" }
}
