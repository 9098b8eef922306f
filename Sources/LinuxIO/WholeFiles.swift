internal import CLinux
internal import Glibc

/// Files that whoever looks sees whole or not at all, also after a crash: written beside their place as `.new`, then renamed.
package enum WholeFile {
    /// Puts a file in its place, instead of one that is there. Throws with nothing changed.
    package static func replace(_ path: String, with octets: UnsafeRawBufferPointer, mode: UInt16) throws(SystemError) {
        let fresh = path + ".new"
        // what an interrupted run left
        _ = unsafe unlink(fresh)
        do throws(SystemError) {
            try unsafe write(fresh, octets, mode: mode)
            guard unsafe rename(fresh, path) == 0 else { throw .last("rename", path) }
        } catch {
            _ = unsafe unlink(fresh)
            throw error
        }
        try sync(parent(of: path))
    }

    /// A file that must not be there yet, on disk when this returns.
    static func write(_ path: String, _ octets: UnsafeRawBufferPointer, mode: UInt16) throws(SystemError) {
        let flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC
        let file = try FileDescriptor(unsafe gw_open(path, flags, UInt32(mode)), "open", path)
        // whatever the umask
        guard fchmod(file.rawValue, mode_t(mode)) == 0 else { throw .last("fchmod", path) }
        var rest = unsafe octets
        while rest.count > 0 {
            let count = unsafe Glibc.write(file.rawValue, rest.baseAddress, rest.count)
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw .last("write", path, hint: errno == ENOSPC ? "the disk is full" : "") }
            unsafe rest = UnsafeRawBufferPointer(rebasing: rest.dropFirst(count))
        }
        guard fsync(file.rawValue) == 0 else { throw .last("fsync", path) }
    }

    static func sync(_ directory: String) throws(SystemError) {
        let file = try FileDescriptor(unsafe gw_open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0), "open", directory)
        guard fsync(file.rawValue) == 0 else { throw .last("fsync", directory) }
    }

    static func parent(of path: String) -> String {
        guard let slash = path.lastIndex(of: "/") else { return "." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }
}

/// A folder in the making, `PATH.new`; it gets its name when all is in it. What is not finished is taken away again.
package struct FolderInMaking: ~Copyable {
    package let path: String
    private let fresh: String
    /// In the order of making.
    private var files: [String] = []
    private var folders: [String] = []

    /// Throws EEXIST where another process, or a run that was killed, has it in the making too.
    package init(_ path: String) throws(SystemError) {
        let path = path.count > 1 && path.hasSuffix("/") ? String(path.dropLast()) : path
        try Self.makeParents(of: path)
        let fresh = path + ".new"
        guard unsafe mkdir(fresh, 0o700) == 0 else {
            throw .last("mkdir", fresh, hint: errno == EEXIST ? "an earlier run was interrupted, or another runs now: remove \(fresh)" : "")
        }
        self.path = path
        self.fresh = fresh
        folders = [fresh]
    }

    deinit {
        for file in files { _ = unsafe unlink(file) }
        for folder in folders.reversed() { _ = unsafe rmdir(folder) }
    }

    /// A file at a path below the folder.
    package mutating func add(_ name: String, _ octets: UnsafeRawBufferPointer, mode: UInt16) throws(SystemError) {
        let file = "\(fresh)/\(name)"
        var folder = fresh
        for part in name.split(separator: "/").dropLast() {
            folder += "/\(part)"
            if folders.contains(folder) { continue }
            guard unsafe mkdir(folder, 0o700) == 0 else { throw .last("mkdir", folder) }
            folders.append(folder)
        }
        files.append(file)
        try unsafe WholeFile.write(file, octets, mode: mode)
    }

    /// Gives the folder its name. Throws ENOTEMPTY where there is one with something in it.
    package consuming func finish() throws(SystemError) {
        for folder in folders.reversed() { try WholeFile.sync(folder) }
        guard unsafe rename(fresh, path) == 0 else {
            throw .last("rename", path, hint: errno == ENOTEMPTY || errno == EEXIST ? "something is there already: move it away first" : "")
        }
        files = []
        folders = []
        try WholeFile.sync(WholeFile.parent(of: path))
    }

    private static func makeParents(of path: String) throws(SystemError) {
        var folder = ""
        for part in WholeFile.parent(of: path).split(separator: "/") {
            folder += path.hasPrefix("/") || !folder.isEmpty ? "/\(part)" : String(part)
            guard unsafe mkdir(folder, 0o755) == 0 || errno == EEXIST else { throw .last("mkdir", folder) }
        }
    }
}

/// What is at a path.
package enum FileStatus {
    /// Whether anything is there, a link that leads nowhere too.
    package static func exists(_ path: String) -> Bool {
        var status = stat()
        return unsafe lstat(path, &status) == 0 || errno != ENOENT
    }
}
