-- The operations as Kinto takes them: a batch of puts adds members, a delete with a filter removes them.

return function(tools)
   local any, some, send = tools.any, tools.some, tools.send
   local collections = "/v1/buckets/library/collections"
   local assets = "/v1/buckets/assets/collections/assets/records"

   local function ids(count) return (some("assets", count):gsub('"', "")) end

   local function add()
      local members = "/buckets/library/collections/" .. any("collections") .. "/records/"
      local requests = some("assets", 49):gsub('"([^"]+)"', '{"path":"' .. members .. '%1"}')
      return send("POST", "/v1/batch", '{"defaults":{"method":"PUT"},"requests":[' .. requests .. "]}")
   end

   return {
      get = function() return send("GET", collections .. "/" .. any("collections")) end,
      list = function() return send("GET", collections .. "?_limit=100") end,
      create = function()
         return send("POST", collections, '{"data":{"name":"Collection ' .. tools.count() .. '"}}')
      end,
      add = add,
      remove = function()
         local members = collections .. "/" .. any("collections") .. "/records"
         return send("DELETE", members .. "?in_id=" .. ids(49))
      end,
      first = function() return send("GET", any("first")) end,
      last = function() return send("GET", any("last")) end,
      bulk = function() return send("GET", assets .. "?in_id=" .. ids(200)) end,
   }
end
