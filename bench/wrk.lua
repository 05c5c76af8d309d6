-- One operation for wrk. Arguments: the Authorization header, a number that makes this run's choices its own, the
-- operation, and a file of ids: on its first line collections, on its second assets.
-- Prints one line of JSON; times are microseconds.

local operation, collections, assets, turn = nil, {}, {}, 0
local headers = {}

local function words(line)
   local found = {}
   for word in line:gmatch("%S+") do found[#found + 1] = word end
   return found
end

local function path()
   return "/v1/collections/" .. collections[math.random(#collections)]
end

local operations = {
   get = function() return wrk.format("GET", path(), headers) end,
   list = function() return wrk.format("GET", "/v1/collections?pageSize=100", headers) end,
   create = function()
      turn = turn + 1
      return wrk.format("POST", "/v1/collections", headers, '{"name":"Collection ' .. turn .. '"}')
   end,
   add = function()
      local ids = {}
      for n = 1, 49 do ids[n] = assets[math.random(#assets)] end
      return wrk.format("PUT", path() .. "/assets", headers, '{"assetIds":["' .. table.concat(ids, '","') .. '"]}')
   end,
}

function init(arguments)
   headers["Authorization"] = arguments[1]
   headers["Content-Type"] = "application/json"
   math.randomseed(tonumber(arguments[2]))
   operation = operations[arguments[3]]
   local file = assert(io.open(arguments[4]))
   collections, assets = words(file:read("*l")), words(file:read("*l"))
   file:close()
end

function request() return operation() end

function done(summary, latency)
   local errors = summary.errors
   io.write(string.format('{"requests":%d,"duration":%d,"failed":%d,"p50":%d,"p99":%d}\n',
      summary.requests, summary.duration,
      errors.connect + errors.read + errors.write + errors.status + errors.timeout,
      latency:percentile(50), latency:percentile(99)))
end
