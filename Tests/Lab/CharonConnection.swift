/// A connection of strongSwan, as swanctl.conf describes it: IKEv2 with PSK, certificate or EAP, as road warrior or as responder.
package struct CharonConnection: Sendable {
    package static let childName = "net"

    /// What strongSwan does with the connection.
    package enum Role: Sendable {
        /// Asks for inner addresses (`vips`).
        case initiator
        /// Hands them out of a pool, as prefix; `radius`: as the RADIUS server says.
        case responder(pool: String)
    }

    package var name = "rw"
    /// The name of its Child SA; all connections of one charon need different ones.
    package var child = CharonConnection.childName
    package var role = Role.initiator
    package var localAddress = "%any"
    package var remoteAddress = "192.0.2.1"
    /// IDi as strongSwan reads it (`@` RFC822, dots FQDN, an address); nil: its own address.
    package var identity: String?
    /// IDr that is demanded; nil: the peer's address, empty: any.
    package var remoteIdentity: String? = "gw.test"
    package var psk = "a long and random text of the lab"
    /// How each side authenticates: psk, pubkey, or narrower as swanctl.conf has it (rsa/pss-sha256, ike:ecdsa-sha384, ...); eap-md5, eap-mschapv2,
    /// eap-tls, eap-ttls. A client whose `remoteAuth` is EAP too takes a gateway that proves itself by nothing else (RFC 5998).
    package var localAuth = "psk"
    package var remoteAuth = "psk"
    /// What it answers to EAP-Request/Identity; nil: IDi.
    package var eapIdentity: String?
    package var eapPassword: String?
    /// The name in the certificate of the RADIUS server (EAP-TLS, EAP-TTLS); nil: IDr.
    package var aaaIdentity: String?
    /// Its own certificate, as `Charon.add` named it.
    package var certificate: String?
    package var ike = "aes128gcm16-prfsha256-x25519"
    package var esp = "aes128gcm16"
    package var virtualAddresses = ["0.0.0.0"]
    package var localSelectors = ["dynamic"]
    package var remoteSelectors = ["10.20.0.0/24"]
    /// Further Child SAs by name, with their remote selectors; brought up by hand.
    package var furtherChildren: [String: [String]] = [:]
    /// Seconds; 0: no liveness checks.
    package var dpdDelay = 0
    /// What the client does when the peer is found dead: clear, or restart.
    package var dpdAction = "clear"
    /// Seconds; 0: no rekey of its own.
    package var childRekey = 0
    package var mobike = false
    /// replace: INITIAL_CONTACT is sent with the first SA; never: it is not.
    package var unique = "replace"

    package init() {}

    static func swanctlFile(_ connections: [CharonConnection]) -> String {
        var text = "connections {\n"
        for connection in connections { text += connection.section }
        text += "}\nsecrets {\n"
        for (index, connection) in connections.enumerated() {
            text += "  ike-\(index) {\n    secret = \"\(connection.psk)\"\n"
            if let identity = connection.identity { text += "    id-own = \(identity)\n" }
            if let remote = connection.remoteIdentity, !remote.isEmpty { text += "    id-peer = \(remote)\n" }
            text += "  }\n"
            if let password = connection.eapPassword {
                let name = connection.eapIdentity ?? connection.identity
                text += "  eap-\(index) {\n    secret = \"\(password)\"\n"
                if let name { text += "    id = \"\(name)\"\n" }
                text += "  }\n"
            }
        }
        text += "}\npools {\n"
        for connection in connections {
            if case .responder(let pool) = connection.role, pool != "radius" { text += "  pool-\(connection.name) { addrs = \(pool)\n }\n" }
        }
        return text + "}\n"
    }

    private var section: String {
        var lines = ["version = 2", "local_addrs = \(localAddress)", "proposals = \(ike)", "mobike = \(mobike ? "yes" : "no")"]
        lines += ["unique = \(unique)", "rekey_time = 0", "reauth_time = 0"]
        if dpdDelay > 0 { lines.append("dpd_delay = \(dpdDelay)s") }
        switch role {
        case .initiator:
            lines.append("remote_addrs = \(remoteAddress)")
            if !virtualAddresses.isEmpty { lines.append("vips = \(virtualAddresses.joined(separator: ","))") }
        case .responder(let pool):
            lines.append("pools = \(pool == "radius" ? pool : "pool-\(name)")")
        }
        var own = identity.map { "\n      id = \($0)" } ?? ""
        if let certificate { own += "\n      certs = \(certificate)" }
        if let eapIdentity { own += "\n      eap_id = \"\(eapIdentity)\"" }
        if let aaaIdentity { own += "\n      aaa_id = \"\(aaaIdentity)\"" }
        var peer = remoteIdentity.map { $0.isEmpty ? "\n      id = %any" : "\n      id = \($0)" } ?? ""
        if case .responder = role, remoteAuth.hasPrefix("eap") { peer += "\n      eap_id = %any" }
        // a responder's selectors are its own network; an initiator's own side is its inner address
        let (local, remote): ([String], [String]) =
            if case .responder = role { (remoteSelectors, ["dynamic"]) } else { (localSelectors, remoteSelectors) }
        let further = furtherChildren.sorted { $0.key < $1.key }.map { child, selectors in
            "\(child) {\n local_ts = dynamic\n remote_ts = \(selectors.joined(separator: ","))\n esp_proposals = \(esp)\n rekey_time = 0\n }"
        }.joined(separator: "\n")
        return """
              \(name) {
                \(lines.joined(separator: "\n    "))
                local {
                  auth = \(localAuth)\(own)
                }
                remote {
                  auth = \(remoteAuth)\(peer)
                }
                children {
                  \(child) {
                    local_ts = \(local.joined(separator: ","))
                    remote_ts = \(remote.joined(separator: ","))
                    esp_proposals = \(esp)
                    rekey_time = \(childRekey)s
                    dpd_action = \(dpdAction)
                  }
                  \(further)
                }
              }

            """
    }
}
