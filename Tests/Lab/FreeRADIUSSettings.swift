/// What a FreeRADIUS of the lab is started with. Its site, modules and clients are those of etc/freeradius.
package struct FreeRADIUSSettings: Sendable {
    /// Who may log in, and what the session gets.
    package struct User: Sendable {
        package var name: String
        /// nil: EAP-TLS, where the certificate is the proof.
        package var password: String?
        /// Further check items of mods-config/ipsec-gw/users, such as `EAP-Message !* 0x00`.
        package var checks: [String] = []
        /// Attributes of the Access-Accept, as FreeRADIUS writes them: `Framed-IP-Address = 10.99.0.77`.
        package var reply: [String] = []
        package init(_ name: String, password: String?, checks: [String] = [], _ reply: String...) {
            (self.name, self.password, self.checks, self.reply) = (name, password, checks, reply)
        }
    }

    /// Files of EAP-TLS, TTLS and PEAP, PEM each.
    package struct Certificates: Sendable {
        package var certificate: String
        package var key: String
        /// Of the clients' certificates.
        package var authority: String
        package init(certificate: String, key: String, authority: String) {
            (self.certificate, self.key, self.authority) = (certificate, key, authority)
        }
    }

    package static let secret = "a secret of gateway and RADIUS"

    package var name = "radius-1"
    /// Of the machine it runs on.
    package var address = RoadNetwork.hostAddress
    /// nil: IPv4 alone.
    package var address6: String?
    package var secret = FreeRADIUSSettings.secret
    /// Where requests may come from.
    package var clients = [RoadNetwork.gatewayLANAddress]
    package var users: [User] = []
    /// The text of mods-config/ipsec-gw/users; nil: made from `users`.
    package var usersFile: String?
    /// The text of mods-config/ipsec-gw/sessions; nil: made from `users`.
    package var sessionsFile: String?
    /// nil: a server without EAP-TLS, TTLS and PEAP.
    package var certificates: Certificates?
    /// Octets of an EAP-TLS fragment; nil: etc/freeradius's.
    package var eapFragmentSize: Int?
    /// What is offered first; nil: etc/freeradius's.
    package var firstEAPMethod: String?
    /// What is offered first inside TTLS and PEAP; nil: etc/freeradius's.
    package var firstInnerEAPMethod: String?
    /// Without it replies to requests without EAP carry no Message-Authenticator: Debian 12's FreeRADIUS as it comes.
    package var hasMessageAuthenticatorLines = true
    package var isVerbose = false

    package init(_ users: User...) { self.users = users }

    var usersText: String {
        usersFile
            ?? users.map { user in
                let password = user.password.map { ["Cleartext-Password := \"\($0)\""] } ?? []
                return "\"\(user.name)\"\t\((user.checks + password).joined(separator: ", "))\n"
            }.joined(separator: "\n")
    }

    var sessionsText: String {
        sessionsFile
            ?? users.filter { !$0.reply.isEmpty }.map { user in
                "\"\(user.name)\"\n\t\(user.reply.joined(separator: ",\n\t"))\n"
            }.joined(separator: "\n")
    }
}
