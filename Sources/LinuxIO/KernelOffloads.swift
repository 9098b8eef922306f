internal import Glibc
internal import Wire

/// What the running kernel cuts and joins for us, found out on a device and a socket that are gone afterwards.
package struct KernelOffloads: Sendable {
    /// Of a TUN device; nil where none could be made.
    package let device: SegmentOffloads?
    /// `UDP_SEGMENT` and `UDP_GRO` of a socket.
    package let cutsDatagrams: Bool
    package let joinsDatagrams: Bool

    package init(device: SegmentOffloads?, cutsDatagrams: Bool, joinsDatagrams: Bool) {
        self.device = device
        self.cutsDatagrams = cutsDatagrams
        self.joinsDatagrams = joinsDatagrams
    }

    /// Asks the kernel. A device needs CAP_NET_ADMIN.
    package init() {
        device = Self.askDevice()
        (cutsDatagrams, joinsDatagrams) = Self.askSocket()
    }

    private static func askDevice() -> SegmentOffloads? {
        do throws(SystemError) {
            let device = try TUNDevice("gwask\(getpid())", queues: 1, offloads: .all)
            return device.offloads
        } catch {
            return nil
        }
    }

    private static func askSocket() -> (cuts: Bool, joins: Bool) {
        var options = UDPOptions()
        options.coalesces = true
        do throws(SystemError) {
            let port = try UDPPort(Endpoint(IPAddress(v4: 0x7f00_0001), port: 0), options: options)
            return (port.offloads.contains(.udp), port.joins)
        } catch {
            return (false, false)
        }
    }
}
