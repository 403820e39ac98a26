public import PostgresFormats
public import RepoBase
import Repository

/// What a repository has of the log of its clusters, and which moments of them it can bring back.
public struct WALStatus: Sendable {
    public var clusters: [Cluster] = []
    /// Why times and windows are missing: with a writer key, neither snapshots nor facts can be read.
    public var limitation: String?

    public struct Cluster: Sendable {
        public let systemIdentifier: UInt64
        public var segmentSize: WALSegmentSize
        /// Names of the sources whose snapshots hold its base backups.
        public var sources: [String] = []
        public var baseBackups = 0
        public var timelines: [Timeline] = []
        public var gaps: [Gap] = []
        public var windows: [Window] = []
        /// What was promised by a recovery window, and what there is; nil where none is configured.
        public var promise: Promise?
        /// Names below its folder that are no objects of the log.
        public var strays: [String] = []
    }

    public struct Timeline: Sendable {
        public let timeline: UInt32
        /// The timeline that it branched off, and where; nil for the first, and where its history is missing.
        public var parent: UInt32?
        public var begin: LogSequenceNumber?
        public var isHistoryMissing = false
        public var segments = 0
        public var firstSegment: String?
        public var lastSegment: String?
        /// Behind the last byte of the last segment, or of what had been received of the one behind it.
        public var end: LogSequenceNumber?
        /// When the last segment was stored, and where.
        public var stored: FileTime?
        public var host: String?
    }

    /// Segments that are missing between others.
    public struct Gap: Hashable, Sendable {
        public let timeline: UInt32
        public let first: String
        public let last: String
        public let segments: Int
        public var cause: String
        /// Whether nothing that was meant to happen explains it: its segments were never archived, or were lost.
        public var isLoss: Bool
        /// Whether a base backup needs them: for itself, or to go on from it.
        public var isHarmful: Bool
    }

    /// Moments that can be brought back, on one timeline.
    public struct Window: Hashable, Sendable {
        public let timeline: UInt32
        /// The earliest backup that it can begin with, complete at `from`.
        public let backup: ObjectID
        public let from: FileTime
        public let start: LogSequenceNumber
        /// The last commit or abort in the log, nil where none is known.
        public var to: FileTime?
        /// Behind the last byte of the log that leads on from there.
        public var end: LogSequenceNumber
        /// Backups in it.
        public var backups: Int
    }

    public struct Promise: Hashable, Sendable {
        /// As it was written: `30d`.
        public let span: String
        public let since: FileTime
        /// Since when every moment can be brought back, up to the end of the log; nil when none can.
        public let kept: FileTime?
        public var isKept: Bool { kept.map { $0 <= since } ?? false }
    }
}
