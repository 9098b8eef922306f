/// What `make run` writes on the first start. etc/ipsec-gw.yaml is the same text with the key left open; a test keeps them equal.
package enum DefaultConfiguration {
    /// Stands for the preshared key in the template.
    package static let placeholder = "PRE-SHARED-KEY"

    /// The file with a preshared key, which must be drawn at random; nil for a key that is no plain text (letters, digits, `+/=-_`).
    package static func text(psk: String) -> String? {
        let isPlain = psk.utf8.allSatisfy {
            (48...57).contains($0) || (65...90).contains($0) || (97...122).contains($0) || "+/=-_".utf8.contains($0)
        }
        guard isPlain, (1...256).contains(psk.utf8.count) else { return nil }
        return template.split(separator: placeholder, omittingEmptySubsequences: false).joined(separator: psk)
    }

    package static let template = """
        # ipsec-gw: a VPN gateway for IKEv2 clients that share one key. `ipsec-gw check` validates this file, `ipsec-gwctl reload` takes changes up.
        # The keys are described in docs/configuration.md.

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

        ipsec:
          ike-policy:
            1:
              ike-version-2: { auth-method: psk }
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
              id: auto                              # auto | { ipv4: } | { fqdn: vpn.example.com }
              address-assignment:
                ipv4: { dhcp-server: clients, pool: all }
            pre-shared-key: "PRE-SHARED-KEY"

        """
}
