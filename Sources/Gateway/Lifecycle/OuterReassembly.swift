import LinuxIO
import Logging
import Synchronization
import Wire

/// `reassembly.max-wait-time` (features.md DP-6): the kernel puts outer fragments together, and waits as long for the rest as its namespace says, in
/// whole seconds. What was set before is put back at a stop.
final class OuterReassembly: Sendable {
    private struct Change {
        var before: Int
        var set: Int
    }

    private let changes = Mutex<[AddressFamily: Change]>([:])

    /// Sets the time where packets come in, or puts back what was before (nil). Returns what could not be done, with the command that does it.
    func apply(_ time: Duration?, families: Set<AddressFamily>) -> [String] {
        guard let time else {
            restore()
            return []
        }
        let seconds = Self.seconds(time)
        var problems: [String] = []
        for family in families.sorted(by: { $0.rawValue < $1.rawValue }) {
            do throws(SystemError) {
                let now = try ReassemblyTime.seconds(family)
                guard now != seconds else { continue }
                try ReassemblyTime.set(family, seconds: seconds)
                changes.withLock { changes in
                    changes[family] = Change(before: changes[family]?.before ?? now, set: seconds)
                }
            } catch {
                problems.append(
                    "reassembly.max-wait-time does not take effect over IPv\(family.rawValue): \(error); "
                        + "set it with: \(ReassemblyTime.command(family, seconds: seconds))")
            }
        }
        return problems
    }

    /// Puts back what was there before, unless somebody else has changed it since.
    func restore() {
        let all = changes.withLock { changes in
            defer { changes = [:] }
            return changes
        }
        for (family, change) in all where (try? ReassemblyTime.seconds(family)) == change.set {
            try? ReassemblyTime.set(family, seconds: change.before)
        }
    }

    /// The kernel knows whole seconds: none is cut off.
    static func seconds(_ time: Duration) -> Int {
        let parts = time.components
        return max(1, Int(clamping: parts.seconds) + (parts.attoseconds > 0 ? 1 : 0))
    }
}
