import Glibc
import PostgresFormats
import RepoBase
import WALArchive

/// What `wal receive` tells: lines for people, or one JSON object for each event. Used by several threads.
struct ReceiveOutput: Sendable {
    private let context: CommandContext
    private let turn = Monitor(())

    init(_ context: CommandContext) { self.context = context }

    func show(_ event: ReceiveEvent) {
        turn.withLock { _ in
            if context.options.json { showJSON(event) } else { showText(event) }
        }
        if case .progress(let progress) = event {
            ServiceNotification.send("STATUS=received up to \(progress.flushed), \(ByteCount.describe(progress.behind)) behind")
        }
    }

    func finish(_ outcome: LogReceiver.Outcome) {
        turn.withLock { _ in
            if context.options.json {
                print(
                    Line(
                        event: "end", position: "\(outcome.flushed)", received: outcome.received, segments: outcome.stored,
                        stopped: outcome.wasStopped))
            } else {
                context.note(
                    "received up to \(outcome.flushed): \(ByteCount.describe(outcome.received)), \(NumberText.counted(outcome.stored, "segment")) stored")
            }
        }
    }

    // MARK: Text

    private func showText(_ event: ReceiveEvent) {
        switch event {
        case .streaming(let system, let timeline, let position, let slot):
            context.note("receiving the log of cluster \(system) from \(position) on, timeline \(timeline)\(slot.map { ", slot \($0)" } ?? "")")
        case .timeline(let timeline, let position): context.note("the server went over to timeline \(timeline) at \(position)")
        case .stored(let segment, let bytes, let wasThere):
            guard context.options.verbose else { return }
            context.note(wasThere ? "\(segment) was in the repository already" : "\(segment) stored, \(ByteCount.describe(UInt64(bytes)))")
        case .part(let segment, let length):
            if context.options.verbose { context.note("\(segment): the first \(length) bytes stored") }
        case .lost(let error, let retry):
            context.warn("\(error.message); trying again in \(Self.seconds(retry)) seconds")
            if !error.advice.isEmpty { context.note(error.advice) }
        case .repositoryTrouble(let error, let waiting):
            context.warn("\(error.message); \(ByteCount.describe(waiting)) of the log wait in the spool, and it is tried again")
        case .repositoryBack: context.note("the repository takes the log again")
        case .stalled(let why): context.warn("nothing more is read from the server, which keeps the log: \(why)")
        case .goingOn: context.note("reading from the server again")
        case .warning(let text): context.warn(text)
        case .progress(let progress):
            context.note(
                "received up to \(progress.flushed) (\(ByteCount.describe(progress.behind)) behind the server): "
                    + "\(ByteCount.describe(progress.received)), \(NumberText.counted(progress.stored, "segment")) stored")
        }
    }

    private static func seconds(_ value: Double) -> String { value < 10 ? "\((value * 10).rounded() / 10)" : "\(Int(value))" }

    // MARK: JSON

    private struct Line: Encodable {
        var event: String
        var systemIdentifier: String?
        var timeline: UInt32?
        var position: String?
        var serverPosition: String?
        var slot: String?
        var segment: String?
        var bytes: UInt64?
        var wasThere: Bool?
        var received: UInt64?
        var segments: Int?
        var behind: UInt64?
        var waiting: UInt64?
        var error: String?
        var message: String?
        var retrySeconds: Double?
        var stopped: Bool?
    }

    private func print(_ line: Line) { try? context.console.print(JSONOutput.line(line)) }

    private func showJSON(_ event: ReceiveEvent) {
        switch event {
        case .streaming(let system, let timeline, let position, let slot):
            print(Line(event: "streaming", systemIdentifier: "\(system)", timeline: timeline, position: "\(position)", slot: slot))
        case .timeline(let timeline, let position): print(Line(event: "timeline", timeline: timeline, position: "\(position)"))
        case .stored(let segment, let bytes, let wasThere):
            print(Line(event: "stored", segment: segment, bytes: UInt64(bytes), wasThere: wasThere))
        case .part(let segment, let length): print(Line(event: "part", segment: segment, bytes: UInt64(length)))
        case .lost(let error, let retry):
            print(Line(event: "lost", error: error.code.description, message: error.message, retrySeconds: retry))
        case .repositoryTrouble(let error, let waiting):
            print(Line(event: "repository_trouble", waiting: waiting, error: error.code.description, message: error.message))
        case .repositoryBack: print(Line(event: "repository_back"))
        case .stalled(let why): print(Line(event: "stalled", message: why))
        case .goingOn: print(Line(event: "going_on"))
        case .warning(let text): print(Line(event: "warning", message: text))
        case .progress(let progress):
            print(
                Line(
                    event: "progress", timeline: progress.timeline, position: "\(progress.flushed)", serverPosition: "\(progress.serverEnd)",
                    received: progress.received, segments: progress.stored, behind: progress.behind, waiting: progress.waiting))
        }
    }
}
