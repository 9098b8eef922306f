/// What `make run` writes on the first start. etc/ipsec-gw.yaml is the same text with the key left open; a test keeps them equal.
package enum DefaultConfiguration {
    /// Stands for the preshared key in the template.
    package static let placeholder = "PRE-SHARED-KEY"
    /// Where `ipsec-gw pki init` puts the CA and the gateway's certificate.
    package static let pki = "/etc/ipsec-gw/pki"

    /// The file with a preshared key, which must be drawn at random, and the folder of the certificates. Nil for a key or a path that is no plain
    /// text (letters, digits, `+/=-_`, in a path dots too).
    package static func text(psk: String, pki folder: String = pki) -> String? {
        guard isPlain(psk, "+/=-_"), (1...256).contains(psk.utf8.count), isPlain(folder, "/.-_"), folder.hasPrefix("/"), folder.utf8.count <= 1024
        else { return nil }
        // the folder first: a key may look like a path
        return template.split(separator: pki, omittingEmptySubsequences: false).joined(separator: folder)
            .split(separator: placeholder, omittingEmptySubsequences: false).joined(separator: psk)
    }

    private static func isPlain(_ text: String, _ others: String) -> Bool {
        text.utf8.allSatisfy {
            (48...57).contains($0) || (65...90).contains($0) || (97...122).contains($0) || others.utf8.contains($0)
        }
    }

    package static let template = """
        # ipsec-gw: a VPN gateway for IKEv2 clients with certificates of its own CA, or with one key that they share. `ipsec-gw check` validates this
        # file, `ipsec-gwctl reload` takes changes up. The keys are described in docs/configuration.md.

        management:
          control-socket: /run/ipsec-gw/control.sock
          state-directory: /var/lib/ipsec-gw
          log: { level: info, format: text }      # trace | debug | info | notice | warning | error; text | json | journald

        # Where decrypted traffic comes out: a TUN device with the gateway's inner address.
        service:
          home:
            id: 1
            interface:
              ipsec0:
                address: [10.99.0.1/24]

        # The clients' inner addresses. To let clients resolve names, add: dns: [10.99.0.1]
        local-dhcp-server:
          clients:
            pool:
              all:
                subnet: 10.99.0.0/24
                range: [{ begin: 10.99.0.10, end: 10.99.0.250 }]
                lease-hold-time: 3600               # seconds an address is kept for the same client after it left

        # `ipsec-gw pki init` made these files; `ipsec-gw pki client NAME` adds a client, `ipsec-gw pki server` renews the gateway's certificate.
        pki:
          certificate-expiration-warning: { hours: 720, repeat-hours: 24 }
          ca-profile:
            own:
              cert-file: /etc/ipsec-gw/pki/ca.pem
              revocation-check: none                # a client is shut out by its certificate's end, or by a new CA

        ipsec:
          cert-profile:
            gateway:
              entry:
                1: { cert: /etc/ipsec-gw/pki/server.pem, key: /etc/ipsec-gw/pki/server.key }
          trust-anchor-profile:
            clients: { trust-anchor: [own] }
          ike-policy:
            1:
              # Clients prove themselves by certificate or by the key below; the gateway by its certificate to both.
              ike-version-2: { auth-method: auto-eap, auto-eap-method: psk-or-cert, own-auto-eap-method: cert }
              ipsec-lifetime: 28800                 # s; longer than clients': Windows renews keys by itself, and refuses to be asked
              dpd: { interval: 30, max-retries: 3 }
          tunnel-template:
            1: { ip-mtu: 1400 }
          # To give clients some networks only, name this list below (`ts-list: lan`).
          ts-list:
            lan:
              local:
                entry:
                  1: { address: { prefix: 192.168.0.0/16 } }

        ipsec-gateway:
          road-warriors:
            ike-policy: 1
            default-tunnel-template: 1
            default-secure-service: { service-name: home, interface: ipsec0 }
            local:
              gateway-address: auto                 # the address of the default route, or one of this machine's
              id: auto                              # auto: a name in the certificate | { ipv4: } | { fqdn: vpn.example.com }
              address-assignment:
                ipv4: { dhcp-server: clients, pool: all }
            cert: { cert-profile: gateway, trust-anchor-profile: clients }
            pre-shared-key: "PRE-SHARED-KEY"

        """
}
