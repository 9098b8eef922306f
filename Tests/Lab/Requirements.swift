import Foundation

/// What scenarios need of the machine. A missing thing is an error that says what to install, never a skipped test.
enum Requirements {
    private static let tools: [(path: String, package: String)] = [
        ("/sbin/ip", "iproute2"), ("/usr/sbin/nft", "nftables"), ("/usr/bin/setpriv", "util-linux"),
        ("/usr/sbin/charon-systemd", "charon-systemd"), ("/usr/sbin/swanctl", "strongswan-swanctl"),
        ("/usr/lib/ipsec/plugins/libstrongswan-kernel-libipsec.so", "libcharon-extra-plugins"),
        ("/usr/lib/ipsec/plugins/libstrongswan-eap-mschapv2.so", "libcharon-extauth-plugins"),
        ("/usr/sbin/freeradius", "freeradius"), ("/usr/bin/radclient", "freeradius-utils"), ("/usr/bin/eapol_test", "eapoltest"),
        ("/usr/bin/ping", "iputils-ping"), ("/usr/bin/tcpdump", "tcpdump"),
    ]

    static func check() throws(LabError) {
        guard geteuid() == 0 else { throw LabError("scenarios need root (network namespaces): sudo make test") }
        guard FileManager.default.fileExists(atPath: "/dev/net/tun") else { throw LabError("/dev/net/tun is missing: modprobe tun") }
        let missing = tools.filter { !FileManager.default.fileExists(atPath: $0.path) }.map(\.package)
        guard missing.isEmpty else {
            throw LabError("install what scenarios need: contrib/quickstart/install-packages test (missing: \(missing.joined(separator: " ")))")
        }
    }
}
