/// The connection of a strongSwan client that has a certificate: a file for /etc/swanctl/conf.d.
struct StrongSwanSettings {
    /// The gateway's CA in /etc/swanctl/x509ca.
    static let authorityFile = "ipsec-gw-ca.pem"

    let name: String
    let gateway: String

    var text: String {
        """
        # \(name) by certificate to the gateway \(gateway): cp -r swanctl /etc/ && swanctl --load-all && swanctl --initiate --child net
        connections {
          ipsec-gw {
            version = 2
            remote_addrs = \(gateway)
            vips = 0.0.0.0
            proposals = aes256gcm16-prfsha384-x25519,aes256-sha256-modp2048
            local {
              auth = pubkey
              certs = \(name).pem
              id = \(name)
            }
            remote {
              auth = pubkey
              cacerts = \(Self.authorityFile)
              id = \(gateway)
            }
            children {
              net {
                remote_ts = 0.0.0.0/0
                esp_proposals = aes256gcm16,aes128gcm16,aes256-sha256
                dpd_action = restart
              }
            }
            dpd_delay = 30s
          }
        }

        """
    }
}
