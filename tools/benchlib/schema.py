"""SQL that fills tables with rows like those of a shop. `random()` is seeded, so all runs make the same."""

SEED = "SELECT setseed(0.42);\n"


def _array(words: str) -> str:
    return "ARRAY[" + ",".join(f"'{word}'" for word in words.split(",")) + "]"


STATUS = _array("delivered,delivered,delivered,delivered,shipped,paid,returned,cancelled")
CHANNEL = _array("web,web,web,app,app,store,phone,partner")
CITY = _array(
    "Amsterdam,Antwerp,Berlin,Bologna,Bratislava,Brno,Copenhagen,Dresden,Gdansk,Geneva,Ghent,Graz,Hamburg,"
    "Helsinki,Krakow,Leipzig,Lille,Lisbon,Ljubljana,Lyon,Malmo,Munich,Nantes,Oslo,Porto,Prague,Riga,"
    "Rotterdam,Seville,Tallinn,Turin,Utrecht,Vienna,Vilnius,Warsaw,Zagreb"
)
GOODS = _array(
    "armchair oak,bookcase birch,cabinet walnut,candle set,carpet wool grey,coat stand,cushion linen,"
    "desk lamp brass,dining chair ash,dining table oak,door mat coir,drawer unit white,floor lamp steel,"
    "garden bench teak,kitchen scale,mirror round,office chair black,picture frame A3,pillow down,"
    "plant pot stone,shelf bracket,side table glass,sofa two seats,stool beech,storage box large,"
    "table cloth cotton,throw blanket,towel set blue,wall clock,wardrobe pine"
)
REMARK = _array(
    "leave with the neighbour if nobody is at home,call before delivery,gift wrapping with card,"
    "no remarks,deliver to the back entrance,invoice by mail only,second attempt after a missed visit,"
    "customer collects in store,assembly booked with delivery,take back the old furniture,"
    "fragile: keep upright,delivery on Saturday morning only"
)
WORDS = _array(
    "account,address,balance,basket,button,campaign,cancel,charge,check,click,close,code,confirm,contact,"
    "coupon,credit,customer,default,delay,deliver,device,discount,edit,email,error,expire,export,failed,"
    "filter,first,form,gift,group,header,history,image,import,invoice,item,label,language,layout,limit,"
    "link,list,locale,login,mail,member,menu,message,mobile,name,newsletter,note,notice,open,option,order,"
    "page,password,payment,pending,phone,price,print,product,profile,queue,rating,receipt,refund,region,"
    "remind,report,request,reset,result,retry,return,review,sale,save,search,select,session,ship,sort,"
    "status,stock,store,submit,summary,support,survey,tax,ticket,token,track,update,upload,user,value,"
    "verify,view,visit,voucher,warning,wish,zone"
)


def pick(array: str, count: int) -> str:
    return f"({array})[1 + floor(random() * {count})::int]"


def size(array: str) -> int:
    return array.count("','") + 1


def some(array: str) -> str:
    return pick(array, size(array))


def sentence(words: int) -> str:
    return " || ' ' || ".join(some(WORDS) for _ in range(words))


ORDERS_TABLE = """
CREATE TABLE orders (
    id bigint NOT NULL, customer_id integer NOT NULL, placed_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL, status text NOT NULL, channel text NOT NULL, article text NOT NULL,
    quantity smallint NOT NULL, amount numeric(10,2) NOT NULL, currency character(3) NOT NULL,
    remark text NOT NULL);
"""


def orders(rows: int, first: int = 1) -> str:
    """Orders in the sequence in which they were placed, one every five seconds; an article has one price."""
    return f"""
INSERT INTO orders
SELECT id, customer, placed, placed + interval '3 days',
       CASE WHEN chance < 0.93 THEN 'delivered' ELSE 'returned' END,
       'web', ({GOODS})[article], 1, 19.95 + 10 * article, 'EUR',
       CASE WHEN chance < 0.1 THEN {some(REMARK)} ELSE 'no remarks, standard delivery in three days' END
FROM (SELECT id, timestamptz '2023-01-01 00:00:00+00' + id * interval '5 seconds' AS placed,
             random() AS chance, 1 + floor(power(random(), 2) * {max(rows // 12, 1)})::int AS customer,
             1 + floor(power(random(), 2) * {size(GOODS)})::int AS article
      FROM generate_series({first}, {first + rows - 1}) AS id OFFSET 0) AS sequence;
"""


CUSTOMERS_TABLE = """
CREATE TABLE customers (
    id integer NOT NULL, uuid uuid NOT NULL, email text NOT NULL, password_hash text NOT NULL,
    city text NOT NULL, created_at timestamptz NOT NULL, last_seen timestamptz,
    balance numeric(12,2) NOT NULL, preferences jsonb);
"""


def customers(rows: int) -> str:
    """Customers carry what does not compress: a UUID, a hash, microseconds."""
    return f"""
INSERT INTO customers
SELECT id, md5('customer ' || id)::uuid, {some(WORDS)} || '.' || {some(WORDS)} || id || '@example.com',
       md5('password ' || id), {some(CITY)}, created, created + random() * interval '300 days',
       round((random() * 1000)::numeric, 2),
       jsonb_build_object('language', {pick("ARRAY['de','en','fr','nl','pl']", 5)},
                          'newsletter', random() < 0.3, 'items_per_page', 20,
                          'theme', {pick("ARRAY['light','dark','system']", 3)})
FROM (SELECT id, timestamptz '2021-01-01 00:00:00+00' + id * interval '79.31 seconds' AS created
      FROM generate_series(1, {rows}) AS id) AS sequence;
"""


EVENTS_TABLE = """
CREATE TABLE events (
    id bigint NOT NULL, at timestamptz NOT NULL, account_id integer NOT NULL, kind text NOT NULL, trace uuid,
    payload jsonb NOT NULL, note text);
"""


def events(rows: int, first: int = 1) -> str:
    """A log of events with JSON; one in six carries a trace id."""
    return f"""
INSERT INTO events
SELECT id, timestamptz '2024-01-01 00:00:00+00' + (id + random()) * interval '1.7 seconds',
       1 + floor(power(random(), 2) * {max(rows // 20, 1)})::int, {some(WORDS)},
       CASE WHEN id % 6 = 0 THEN md5('trace ' || id)::uuid END,
       jsonb_build_object('version', 3, 'action', {some(WORDS)},
                          'path', '/' || {some(WORDS)} || '/' || {some(WORDS)}, 'success', random() < 0.97,
                          'milliseconds', floor(power(random(), 3) * 2000),
                          'client', jsonb_build_object('app', {pick("ARRAY['web','ios','android']", 3)},
                                                       'build', 4100 + floor(power(random(), 3) * 40))),
       {sentence(3)}
FROM generate_series({first}, {first + rows - 1}) AS id;
"""


def index(table: str, *columns: str) -> str:
    """The primary key and a plain index on each of `columns`; then what autovacuum does after a bulk load."""
    plain = "".join(f"CREATE INDEX ON {table} ({column});\n" for column in columns)
    return f"ALTER TABLE {table} ADD PRIMARY KEY (id);\n{plain}VACUUM (ANALYZE, FREEZE) {table};\n"
