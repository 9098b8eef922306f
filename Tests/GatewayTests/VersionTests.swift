import LinuxIO
import Testing

@testable import Gateway

@Suite("programs.md: what `ipsec-gw version` says of the kernel")
struct VersionTests {
    @Test(arguments: [
        (KernelOffloads(device: .all, cutsDatagrams: true, joinsDatagrams: true), "TUN: TSO, USO; UDP: UDP_SEGMENT, UDP_GRO"),
        (
            KernelOffloads(device: [.header, .tcp], cutsDatagrams: true, joinsDatagrams: false),
            "TUN: TSO, USO missing; UDP: UDP_SEGMENT, UDP_GRO missing"
        ),
        (KernelOffloads(device: [], cutsDatagrams: false, joinsDatagrams: true), "TUN: TSO missing, USO missing; UDP: UDP_SEGMENT missing, UDP_GRO"),
    ])
    func offloads(kernel: KernelOffloads, text: String) {
        #expect(GatewayVersion.text(of: kernel) == text)
    }

    @Test func whatOnlyRootMayAskIsSaidSo() {
        let text = GatewayVersion.text(of: KernelOffloads(device: nil, cutsDatagrams: true, joinsDatagrams: true))
        #expect(text.contains("CAP_NET_ADMIN") && text.hasSuffix("UDP: UDP_SEGMENT, UDP_GRO"))
    }

    @Test func thePlatformHasALineForThem() {
        #expect(GatewayVersion.platform.contains("offloads " + GatewayVersion.text(of: KernelOffloads())))
    }
}
