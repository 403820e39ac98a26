/*
 * The collection of garbage beside writers (docs/collection.md) as a model for spin.
 *
 * One blob, X, stands for all content: every snapshot needs it, and every pack holds a copy of it. So a snapshot is lost as
 * soon as no pack is left in the store that the index names. A writer that finds X in a pack which it may rest on stores
 * nothing; otherwise it stores a pack of its own. A collector keeps one copy where a snapshot needs X, and condemns the rest.
 *
 * Every operation on the store is one step, and the processes' steps interleave in every order. Whoever takes no further step
 * has crashed there, or is stalled; whoever goes on after it was fenced is the stalled writer that wakes up. Anyone may be
 * fenced at any moment, since clocks prove nothing; registration and fence may be removed at any moment after that.
 *
 * The program has all of these rules; docs/collection.md has them in words.
 *
 * Left out: deltas that rest on other blobs; listings that are not one moment's (of what is never replaced they
 * show what was there before: the program relies on no other); a put that reaches the store but reports
 * failure and is repeated (packs, segments and snapshots are named by content, so a repeated put stores the same bytes; a
 * record that is created twice lists the same packs); forgetting any snapshot but the first; that garbage goes in the end.
 *
 * docs/models/check builds this in several sizes, and with each rule of the protocol taken out in turn, which must fail.
 */
#ifndef WRITERS
#define WRITERS 1
#endif
#ifndef COLLECTORS
#define COLLECTORS 2
#endif
#ifndef PACKS
#define PACKS 4         /* that there can be, the first ones included */
#endif
#ifndef COPIES
#define COPIES 1        /* packs that there are at first; none: no snapshot either */
#endif
#ifndef RECORDS
#define RECORDS 3       /* gc/<n> that there can be */
#endif

#ifndef FENCES
#define FENCES 1        /* processes that are fenced, whichever */
#endif

/* Whether writers look which packs are there: when they begin, and when they were fenced. */
#ifdef NO_PACK_LIST
#define LISTS_PACKS false
#else
#define LISTS_PACKS true
#endif
#ifdef NO_PACK_CONFIRM
#define CONFIRMS_PACKS false
#else
#define CONFIRMS_PACKS true
#endif

#ifdef FINE
#define TOGETHER        /* every operation of a collector on its own */
#else
#define TOGETHER atomic /* reads of a collector that follow each other are one step, where order is not the point */
#endif

#define PROCESSES (WRITERS + COLLECTORS)
#define SEGMENTS (PACKS + COLLECTORS)
#define BIT(i) (1 << (i))
#define HAS(set, i) (((set) >> (i)) & 1)
#define WITHOUT(set, other) ((set) & ~(other))
#define ALL(n) (BIT(n) - 1)
#if COPIES > 0
#define FIRST BIT(WRITERS)
#else
#define FIRST 0
#endif

/* ---- The store ---- */

byte packs = ALL(COPIES);       /* packs/ */
byte usedPacks = COPIES;        /* ids are never used again */
byte segmentPacks[SEGMENTS];    /* index/: what a segment names; segment p < PACKS is stored with pack p */
short segmentReplaces[SEGMENTS];
short segments = ALL(COPIES);   /* those that are in the store */
byte snapshots = FIRST;         /* snapshots/: one by each writer, and one that was there before */
byte registered;                /* writers/<id> */
byte fenced;                    /* writers/<id>.fence */
byte condemnedPacks[RECORDS];   /* gc/<n>/condemned: what it lists */
byte condemned;                 /* gc/<n>/condemned: the records that have it */
byte armedWriters[RECORDS];     /* gc/<n>/writers: what it lists */
byte armed;
byte sweptWriters[RECORDS];     /* gc/<n>/swept */
byte swept;
byte usedRecords;               /* numbers are never used again */

/* Not in the store: snapshots that were reported as done, and not forgotten. */
byte done = FIRST;
byte fences;
byte began;                     /* processes that have begun: of equal ones in order, which loses nothing */

/* For local steps; zero between them. */
hidden byte i;
hidden byte seen;
hidden short replaced;

/* ---- What the index says ---- */

/* Segments count unless another one replaces them. */
inline counting(set) {
    replaced = 0; i = 0;
    do
    :: i < SEGMENTS -> if :: HAS(segments, i) -> replaced = replaced | segmentReplaces[i] :: else fi; i++
    :: else -> break
    od;
    set = WITHOUT(segments, replaced); i = 0; replaced = 0
}

inline named(set, view) {
    view = 0; i = 0;
    do
    :: i < SEGMENTS -> if :: HAS(set, i) -> view = view | segmentPacks[i] :: else fi; i++
    :: else -> break
    od;
    i = 0
}

hidden short current;
inline loadIndex(view) { counting(current); named(current, view); current = 0 }

inline packsOf(records, set) {
    set = 0; i = 0;
    do
    :: i < RECORDS -> if :: HAS(records, i) -> set = set | condemnedPacks[i] :: else fi; i++
    :: else -> break
    od;
    i = 0
}

/* What must hold at all times: every snapshot that was reported as done, and not forgotten, can be read. */
inline verify() {
    loadIndex(seen);
    assert(done == 0 || (seen & packs) != 0);
    seen = 0
}

/* A pack of one's own, with a segment of the index behind it. Two operations. Nothing when there were enough packs. */
inline storePack(p) {
    atomic {
        usedPacks < PACKS -> p = usedPacks; usedPacks++; packs = packs | BIT(p)
    }
    atomic { segmentPacks[p] = BIT(p); segments = segments | BIT(p); p = 0 }
}

/* Whether this process was fenced: the fence first, since it is removed last. */
inline lookForFence(isFenced) {
    isFenced = HAS(fenced, me);
    if
    :: isFenced
    :: else -> isFenced = !HAS(registered, me)
    fi
}

inline deregister() {
    fenced = WITHOUT(fenced, BIT(me));
    registered = WITHOUT(registered, BIT(me))
}

/* What a writer may rest on: what the index names, what is not condemned, and what is there, in this order. */
inline findUsable(looksAtPacks) {
    atomic { loadIndex(view) };
#ifndef NO_CONDEMNED
    atomic { packsOf(condemned, seen); view = WITHOUT(view, seen); seen = 0 };
#endif
    if
    :: looksAtPacks -> view = view & packs
    :: else
    fi
}

/* ---- A snapshot ---- */

proctype Writer(byte me) {
    byte view, own;
    bit isFenced;
#ifdef NO_REGISTER_FIRST
    atomic { me == 0 || HAS(began, me - 1) -> began = began | BIT(me) };
    findUsable(LISTS_PACKS);
    registered = registered | BIT(me);
#else
    atomic { me == 0 || HAS(began, me - 1) -> began = began | BIT(me); registered = registered | BIT(me) };
    findUsable(LISTS_PACKS);
#endif
    if
    :: view == 0 -> storePack(own)
    :: atomic { view != 0 -> view = 0 }
    fi;
    lookForFence(isFenced);
    if
    :: isFenced -> goto ended
    :: else
    fi;
    snapshots = snapshots | BIT(me);
#ifndef NO_SECOND_LOOK
    lookForFence(isFenced);
    if
    :: isFenced ->
        findUsable(CONFIRMS_PACKS);
        if
        :: view == 0 -> snapshots = WITHOUT(snapshots, BIT(me)); goto ended
        :: else
        fi
    :: else
    fi;
#endif
    atomic { done = done | BIT(me); verify(); view = 0; own = 0; isFenced = 0 };
ended:
    deregister()
}

/* ---- A prune ---- */

/* Steps 1 to 3: what is there, what is needed. `keep` gets the copy that is kept, `from` one that must be copied first. */
inline mark() {
    TOGETHER { stored = packs; marked = snapshots };
    atomic { loadIndex(view) };
    atomic { packsOf(condemned, absent); };
    atomic {
        keep = 0; from = 0;
#ifdef NO_CONDEMNED_COUNT
        seen = view & packs;
#else
        seen = WITHOUT(view & packs, absent);
#endif
        if
        :: marked == 0
        :: marked != 0 && seen != 0 ->
            if
            :: HAS(seen, 0) -> keep = BIT(0)
            :: HAS(seen, 1) -> keep = BIT(1)
            :: HAS(seen, 2) -> keep = BIT(2)
            :: PACKS > 3 && HAS(seen, 3) -> keep = BIT(3)
            :: PACKS > 4 && HAS(seen, 4) -> keep = BIT(4)
            :: PACKS > 5 && HAS(seen, 5) -> keep = BIT(5)
            fi
        :: marked != 0 && seen == 0 -> from = view & packs
        fi;
        /* Packs that no segment names are older than the margin. */
        doomed = WITHOUT(view, absent | keep) | WITHOUT(stored, view | absent);
        view = 0; stored = 0; seen = 0;
        if
        :: marked != 0 && keep == 0 && from == 0 -> goto ended /* something that a snapshot needs is missing: nothing is deleted */
        :: else
        fi
    }
}

/* Copies what only condemned packs hold, or what a pack that is to be rewritten holds. Without a source any more, it gives up. */
inline copy() {
    atomic {
        if
        :: (from & packs) == 0 -> goto ended
        :: else -> from = 0
        fi
    };
    storePack(own)
}

/* For a collector both looks are one step. */
inline stopWhenFenced() {
    atomic { lookForFence(isFenced) };
    if
    :: isFenced -> goto ended
    :: else
    fi
}

proctype Collector(byte me) {
    byte view, stored, absent, marked, keep, from, own, doomed, census, records, due, r, gone;
    short old;
    bit isFenced;
    atomic {
        me == WRITERS || HAS(began, me - 1) -> began = began | BIT(me);
        registered = registered | BIT(me)
    };
    mark();
    if
    :: from != 0 -> copy()
    :: else
    fi;
#ifdef REWRITE
    /* Too much garbage in the pack that is kept: what is needed of it moves. */
    if
    :: atomic { keep != 0 && usedPacks < PACKS -> from = keep; doomed = doomed | keep; keep = 0 }; copy()
    :: skip
    fi;
#endif
#ifdef LIST_FIRST
    census = WITHOUT(registered, BIT(me));
#endif
#ifndef NO_FENCE_CONDEMN
    stopWhenFenced();
#endif
    /* Step 4 */
    atomic {
        keep = 0;
        if
        :: doomed != 0 && usedRecords < RECORDS ->
            r = usedRecords; usedRecords++;
            condemnedPacks[r] = doomed; condemned = condemned | BIT(r); absent = absent | doomed; r = 0
        :: else
        fi;
        doomed = 0
    };
    /* Step 5, also for records whose collector did not come to it. */
    records = WITHOUT(condemned, armed | swept);
    if
    :: records != 0 ->
        TOGETHER {
#ifndef LIST_FIRST
        census = WITHOUT(registered, BIT(me));
#endif
        atomic {
            do
            :: r < RECORDS ->
                if
                :: HAS(records, r) && !HAS(armed, r) -> armedWriters[r] = census; armed = armed | BIT(r)
                :: else
                fi;
                r++
            :: else -> break
            od;
            r = 0; census = 0; records = 0
        }
        }
    :: else
    fi;
    /* Step 6: records whose writers are gone or fenced. */
    TOGETHER {
    records = WITHOUT(condemned & armed, swept);
    atomic {
        census = WITHOUT(registered, fenced | BIT(me));
        do
        :: r < RECORDS ->
#ifndef NO_WAIT
            if
            :: HAS(records, r) && (armedWriters[r] & census) != 0 -> records = WITHOUT(records, BIT(r))
            :: else
            fi;
#endif
            r++
        :: else -> break
        od;
        r = 0; census = 0
    }
    };
    if
    :: records != 0 ->
        /* 6a */
        TOGETHER {
        gone = snapshots;
        atomic {
            packsOf(condemned, own);
            do
            :: r < RECORDS ->
                if
                :: HAS(records, r) && WITHOUT(condemnedPacks[r], own) == 0 -> due = due | BIT(r)
                :: else
                fi;
                r++
            :: else -> break
            od;
            r = 0; records = 0;
#ifdef NO_MARK_AGAIN
            isFenced = 0;
#else
#ifdef NO_MARK_FOR_OTHERS
            isFenced = WITHOUT(gone, marked) != 0;
#else
            isFenced = WITHOUT(gone, marked) != 0 || WITHOUT(own, absent) != 0;
#endif
#endif
            gone = 0; own = 0
        }
        };
        if
        :: isFenced ->
            mark();
            atomic { doomed = 0; keep = 0; marked = 0; absent = 0; isFenced = 0 };
            if
            :: from != 0 -> copy()
            :: else
            fi
        :: atomic { else -> marked = 0; absent = 0 }
        fi
    :: atomic { else -> marked = 0; absent = 0 }
    fi;
#ifndef NO_FENCE_SWEEP
    stopWhenFenced();
#endif
    /* 6b, for what was swept before as well: a new segment, then the old ones go. */
    TOGETHER {
    atomic { packsOf(due | (condemned & swept), gone) };
    atomic {
        counting(old);
        /* Segments that name what goes; or all of them are put together. */
        if
        :: skip ->
            do
            :: r < SEGMENTS ->
                if
                :: HAS(old, r) && (segmentPacks[r] & gone) == 0 -> old = WITHOUT(old, BIT(r))
                :: else
                fi;
                r++
            :: else -> break
            od
#ifdef MERGE
        :: skip
#endif
        fi;
        r = 0;
        named(old, view);
        view = WITHOUT(view, gone); gone = 0
    }
    };
#ifdef OLD_SEGMENTS_FIRST
    atomic { segments = WITHOUT(segments, old); verify() };
#endif
    if
    :: view != 0 -> atomic {
        segmentPacks[PACKS + me - WRITERS] = view; segmentReplaces[PACKS + me - WRITERS] = old;
        segments = segments | BIT(PACKS + me - WRITERS); view = 0
    }
    :: else
    fi;
    atomic { segments = WITHOUT(segments, old); old = 0; verify() };
    if
    :: due != 0 ->
        /* 6c, 6d */
        atomic { packsOf(due, seen); packs = WITHOUT(packs, seen); seen = 0; verify() };
        TOGETHER {
        census = WITHOUT(registered, BIT(me));
        atomic {
            do
            :: r < RECORDS ->
                if
                :: HAS(due, r) && !HAS(swept, r) -> sweptWriters[r] = census; swept = swept | BIT(r)
                :: else
                fi;
                r++
            :: else -> break
            od;
            r = 0; due = 0; census = 0
        }
        }
    :: else
    fi;
    /* Step 7 */
    records = condemned & swept;
    if
    :: records != 0 ->
        TOGETHER {
        census = WITHOUT(registered, fenced | BIT(me));
        atomic {
            loadIndex(view);
            do
            :: r < RECORDS ->
                if
                :: HAS(records, r) && ((sweptWriters[r] & census) != 0 || (condemnedPacks[r] & view) != 0) ->
                    records = WITHOUT(records, BIT(r))
                :: else
                fi;
                r++
            :: else -> break
            od;
            r = 0; view = 0; census = 0
        }
        };
        if
        :: records != 0 ->
            atomic { swept = WITHOUT(swept, records); armed = WITHOUT(armed, records) };
            condemned = WITHOUT(condemned, records)
        :: else
        fi
    :: else
    fi;
ended:
    atomic {
        view = 0; stored = 0; absent = 0; marked = 0; keep = 0; from = 0; own = 0; doomed = 0; census = 0; records = 0;
        due = 0; r = 0; gone = 0; old = 0; isFenced = 0
    };
    deregister()
}

/* ---- Everything else that may happen at any time ---- */

proctype World() {
    do
    /* A user lets the first snapshot go. */
    :: atomic { HAS(snapshots, WRITERS) -> snapshots = WITHOUT(snapshots, BIT(WRITERS)); done = WITHOUT(done, BIT(WRITERS)) }
    /* A collector gives up waiting, or finds the process dead. */
    :: atomic { fences < FENCES && HAS(WITHOUT(registered, fenced), 0) -> fences++; fenced = fenced | BIT(0) }
#if PROCESSES > 1
    :: atomic { fences < FENCES && HAS(WITHOUT(registered, fenced), 1) -> fences++; fenced = fenced | BIT(1) }
#endif
#if PROCESSES > 2
    :: atomic { fences < FENCES && HAS(WITHOUT(registered, fenced), 2) -> fences++; fenced = fenced | BIT(2) }
#endif
#if PROCESSES > 3
    :: atomic { fences < FENCES && HAS(WITHOUT(registered, fenced), 3) -> fences++; fenced = fenced | BIT(3) }
#endif
    /* What a fenced process left is removed: registration first, then fence. */
    :: atomic { (registered & fenced) != 0 -> registered = WITHOUT(registered, fenced) }
    :: atomic { WITHOUT(fenced, registered) != 0 -> fenced = fenced & registered }
    od
}

#ifdef REFRESH_REVIVES
/* A registration that is itself the sign of life: looked for, then written. */
proctype Refresher(byte me) {
    HAS(registered, me);
    registered = registered | BIT(me)
}
#endif

init {
    atomic {
        do
        :: i < COPIES -> segmentPacks[i] = BIT(i); i++
        :: else -> break
        od;
        i = 0;
        do
        :: i < PROCESSES ->
            if
            :: i < WRITERS -> run Writer(i)
            :: else -> run Collector(i)
            fi;
#ifdef REFRESH_REVIVES
            if :: i < WRITERS -> run Refresher(i) :: else fi;
#endif
            i++
        :: else -> break
        od;
        i = 0;
        run World()
    }
}
