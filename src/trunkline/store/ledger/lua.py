"""The scripts of a ledger in Redis; each of them is one step that nothing comes between.

Everything lies below one prefix, ``KEYS[1]``. A document is a field of the hash of its kind, as
``VERSION CELLS`` (JSON); a slot is named ``KIND/KEY``. Redis undoes nothing when a script fails, so
`WRITE` looks at everything first, and at what its user may do: after its first write nothing is
left that could fail.

A turn is a reservation of slots: the list ``turns`` has them in the order of their coming, the set
``turn:NAME`` has the slots of one, for as long as it lives. All slots of a turn are reserved in one
step, so of any two turns one is before the other, and the first of all never waits.
"""

from __future__ import annotations

from hashlib import sha1
from typing import Final

from trunkline.store.keyvalue import Word
from trunkline.store.redis import Client

__all__ = ["CLAIM", "LEAVE", "MOVES", "PAGE", "PREFIX", "PURGE", "READ", "TURN", "WRITE", "Script"]

PREFIX: Final = "trunkline:ledger:"


class Script:
    """A script by its digest; its text goes to a server that does not know it."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._digest = sha1(text.encode(), usedforsecurity=False).hexdigest()

    async def run(self, client: Client, *arguments: Word) -> object:
        """What it returns."""
        from redis.exceptions import NoScriptError

        try:
            return await client.execute_command("EVALSHA", self._digest, 1, PREFIX, *arguments)
        except NoScriptError:  # nothing was carried out
            return await client.execute_command("EVAL", self._text, 1, PREFIX, *arguments)


# Whether a turn that came before ``token`` has one of ``count`` slots, from ARGV[first] on: kind,
# key and version of each. Without a turn of its own, a token comes after all.
_AHEAD = """
local P = KEYS[1]
local function ahead(token, count, first)
  for _, other in ipairs(redis.call('LRANGE', P .. 'turns', 0, -1)) do
    local slots = P .. 'turn:' .. other
    if other == token then
      if redis.call('EXISTS', slots) == 1 then return false end
    else
      for at = first, first + 3 * count - 3, 3 do
        if redis.call('SISMEMBER', slots, ARGV[at] .. '/' .. ARGV[at + 1]) == 1 then
          return true
        end
      end
    end
  end
  return false
end
"""

# token, count, slots: nothing, if others are ahead at the first ``count``; else of each slot the
# version, or the whole value if the version is not the one known. Of the kind "once" the value is
# the answer.
READ: Final = Script(
    _AHEAD
    + """
if ahead(ARGV[1], tonumber(ARGV[2]), 3) then return false end
local found = {}
for at = 3, #ARGV, 3 do
  local value = redis.call('HGET', P .. ARGV[at], ARGV[at + 1])
  if value and ARGV[at] ~= 'once' then
    local stop = string.find(value, ' ', 1, true)
    if string.sub(value, 1, stop - 1) == ARGV[at + 2] then value = ARGV[at + 2] end
  end
  found[#found + 1] = value
end
return found
"""
)

# token, milliseconds, count, slots: get in line, behind those that live.
TURN: Final = Script(
    """
local P, mine = KEYS[1], KEYS[1] .. 'turn:' .. ARGV[1]
for _, other in ipairs(redis.call('LRANGE', P .. 'turns', 0, -1)) do
  if redis.call('EXISTS', P .. 'turn:' .. other) == 0 then
    redis.call('LREM', P .. 'turns', 1, other)
  end
end
redis.call('RPUSH', P .. 'turns', ARGV[1])
for at = 4, 3 * tonumber(ARGV[3]) + 1, 3 do
  redis.call('SADD', mine, ARGV[at] .. '/' .. ARGV[at + 1])
end
redis.call('PEXPIRE', mine, ARGV[2])
return 1
"""
)

LEAVE: Final = Script(
    """
redis.call('LREM', KEYS[1] .. 'turns', 1, ARGV[1])
return redis.call('DEL', KEYS[1] .. 'turn:' .. ARGV[1])
"""
)

# token, count, slots; then, each with its count: documents that go (kind, key); documents that are
# to be (kind, key, 1 if new, value, three for the indexes); movements (account, reference, cells);
# answers (key, expires, answer). Returns 1 if it was written.
WRITE: Final = Script(
    _AHEAD
    + """
local token, count = ARGV[1], tonumber(ARGV[2])
if ahead(token, count, 3) then return 0 end
local values = {}
for at = 3, 3 * count, 3 do
  local value = redis.call('HGET', P .. ARGV[at], ARGV[at + 1])
  local version = '0'
  if value then version = string.match(value, '^%d+ ') or '' end
  if ARGV[at] == 'once' then version = value and '' or '0' end
  if version ~= ARGV[at + 2] and version ~= ARGV[at + 2] .. ' ' then return 0 end
  values[ARGV[at] .. '/' .. ARGV[at + 1]] = value
end

local at = 3 * count + 3
local function take()
  at = at + 1
  return ARGV[at - 1]
end
local function cells(kind, key)
  local value = values[kind .. '/' .. key]
  return cjson.decode(string.sub(value, string.find(value, ' ', 1, true) + 1))
end

local gone, put = {}, {}
for _ = 1, tonumber(take()) do
  local each = {kind = take(), key = take()}
  if each.kind == 'session' or each.kind == 'record' then each.old = cells(each.kind, each.key) end
  gone[#gone + 1] = each
end
for _ = 1, tonumber(take()) do
  local each = {kind = take(), key = take(), new = take() == '1', value = take()}
  each.one, each.two, each.three = take(), take(), take()
  if each.kind == 'record' then
    each.name = string.match(each.key, '^[^/]*/([^/]*)$')  -- else one of the two has a slash
      or cjson.decode(string.sub(each.value, string.find(each.value, ' ', 1, true) + 1))[1]
  end
  if not each.new then
    if each.kind == 'session' then each.old = cells(each.kind, each.key) end
    if each.kind == 'record' then
      each.old = cells(each.kind, each.key)
      each.order = redis.call('ZSCORE', P .. 'record:order', each.key)
    end
  end
  put[#put + 1] = each
end

-- A user who may not do all of it, or a command that was renamed, would stop it in the middle.
for _, command in ipairs({
  {'HSET', 'f', 'v'}, {'HDEL', 'f'}, {'ZADD', '0', 'm'}, {'ZREM', 'm'}, {'INCR'},
  {'XADD', '*', 'f', 'v'}, {'RPUSH', 'v'}, {'LREM', '1', 'v'}, {'DEL'},
}) do
  local name = table.remove(command, 1)
  if not redis.acl_check_cmd(name, P .. 'x', unpack(command)) then
    return redis.error_reply('NOPERM this user has no permissions to run ' .. name)
  end
end

local function unindexed(kind, key, old)
  if kind == 'session' then
    redis.call('ZREM', P .. 'session:of:' .. old[1], key)
  else
    redis.call('ZREM', P .. 'record:of:' .. old[4], key)
    redis.call('ZREM', P .. 'record:origin:' .. old[10], key)
  end
end

for _, each in ipairs(gone) do
  local kind, key = each.kind, each.key
  redis.call('HDEL', P .. kind, key)
  if each.old then unindexed(kind, key, each.old) end
  if kind == 'session' then
    redis.call('ZREM', P .. 'session:names', key)
    redis.call('ZREM', P .. 'session:lease', key)
  elseif kind == 'record' then
    redis.call('ZREM', P .. 'record:order', key)
    redis.call('ZREM', P .. 'record:time', key)
    redis.call('ZREM', P .. 'record:named:' .. each.old[1], key)
  elseif kind == 'task' then
    redis.call('ZREM', P .. 'task:names', key)
    redis.call('ZREM', P .. 'task:due', key)
  else
    redis.call('ZREM', P .. 'account:names', key)
    redis.call('ZREM', P .. 'account:sharing', key)
  end
end
for _, each in ipairs(put) do
  local kind, key = each.kind, each.key
  redis.call('HSET', P .. kind, key, each.value)
  if each.old then unindexed(kind, key, each.old) end
  if kind == 'account' then
    if each.new then
      redis.call('ZADD', P .. 'account:names', 0, key)
      redis.call('ZADD', P .. 'account:known', 0, key)
    end
    if each.one == '' then
      redis.call('ZREM', P .. 'account:sharing', key)
    else
      redis.call('ZADD', P .. 'account:sharing', 0, key)
    end
  elseif kind == 'session' then
    redis.call('ZADD', P .. 'session:names', 0, key)
    redis.call('ZADD', P .. 'session:lease', each.two, key)
    redis.call('ZADD', P .. 'session:of:' .. each.one, 0, key)
  elseif kind == 'record' then
    local order = each.order or redis.call('INCR', P .. 'orders')
    redis.call('ZADD', P .. 'record:order', order, key)
    redis.call('ZADD', P .. 'record:time', each.two, key)
    redis.call('ZADD', P .. 'record:of:' .. each.one, order, key)
    redis.call('ZADD', P .. 'record:origin:' .. each.three, order, key)
    redis.call('ZADD', P .. 'record:named:' .. each.name, order, key)
  elseif kind == 'task' then
    redis.call('ZADD', P .. 'task:names', 0, key)
    redis.call('ZADD', P .. 'task:due', each.one, key)
  end
end
for _ = 1, tonumber(take()) do
  local account, reference = take(), take()
  local number = string.format('%.0f', redis.call('INCR', P .. 'numbers'))
  redis.call('XADD', P .. 'movements', number .. '-1', 'cells', take())
  redis.call('RPUSH', P .. 'moves:' .. account, number)
  if reference ~= '' then redis.call('RPUSH', P .. 'moved:' .. reference, number) end
end
for _ = 1, tonumber(take()) do
  local key, expires = take(), take()
  redis.call('HSET', P .. 'once', key, take())
  redis.call('ZADD', P .. 'once:expires', expires, key)
end
if token ~= '' then
  redis.call('LREM', P .. 'turns', 1, token)
  redis.call('DEL', P .. 'turn:' .. token)
end
return 1
"""
)

# index, after, limit: numbers and cells of the movements that a list has, in pairs.
MOVES: Final = Script(
    """
local P, list, after, limit = KEYS[1], KEYS[1] .. ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local low, high = 0, redis.call('LLEN', list)
while low < high do
  local middle = math.floor((low + high) / 2)
  if tonumber(redis.call('LINDEX', list, middle)) > after then
    high = middle
  else
    low = middle + 1
  end
end
local found = {}
for _, number in ipairs(redis.call('LRANGE', list, low, low + limit - 1)) do
  local id = number .. '-1'
  local entry = redis.call('XRANGE', P .. 'movements', id, id)[1]
  found[#found + 1] = number
  found[#found + 1] = entry and entry[2][2] or ''
end
return found
"""
)

# now, until, limit, a new version, prefix: keys and cells of the tasks that were due, in pairs.
CLAIM: Final = Script(
    """
local P, until_, limit, prefix = KEYS[1], ARGV[2], tonumber(ARGV[3]), ARGV[5]
local due, at = {}, 0
while #due < limit do
  local page = redis.call('ZRANGEBYSCORE', P .. 'task:due', '-inf', ARGV[1], 'LIMIT', at, 1000)
  if #page == 0 then break end
  for _, key in ipairs(page) do
    if #due < limit and string.sub(key, 1, #prefix) == prefix then due[#due + 1] = key end
  end
  at = at + #page
end
local found = {}
for _, key in ipairs(due) do
  local value = redis.call('HGET', P .. 'task', key)
  local cells = '[' .. until_ .. string.sub(value, (string.find(value, ',', 1, true)))
  redis.call('HSET', P .. 'task', key, ARGV[4] .. ' ' .. cells)
  redis.call('ZADD', P .. 'task:due', until_, key)
  found[#found + 1] = key
  found[#found + 1] = cells
end
return found
"""
)

# now, limit: how many answers were forgotten.
PURGE: Final = Script(
    """
local P = KEYS[1]
local old = redis.call(
  'ZRANGEBYSCORE', P .. 'once:expires', '-inf', '(' .. ARGV[1], 'LIMIT', 0, ARGV[2])
for _, key in ipairs(old) do
  redis.call('HDEL', P .. 'once', key)
  redis.call('ZREM', P .. 'once:expires', key)
end
return #old
"""
)

# after, limit: of the accounts that are or were, name, value and number of movements, in threes.
PAGE: Final = Script(
    """
local P = KEYS[1]
local from = ARGV[1] == '' and '-' or '(' .. ARGV[1]
local found = {}
for _, key in ipairs(
  redis.call('ZRANGEBYLEX', P .. 'account:known', from, '+', 'LIMIT', 0, ARGV[2])
) do
  found[#found + 1] = key
  found[#found + 1] = redis.call('HGET', P .. 'account', key)
  found[#found + 1] = redis.call('LLEN', P .. 'moves:' .. key)
end
return found
"""
)
