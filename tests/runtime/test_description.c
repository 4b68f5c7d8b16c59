/* Malformed descriptions, configs and models: each is refused with one line that names the file,
 * the place and the values. */
#define _XOPEN_SOURCE 700
#include "tests/check.h"

#include "tests/runtime/folder.h"

static folder here;

static const char weights[] =
    "lin.weight F32 4 3; lin.bias F32 4; bad.weight F32 4; nobias.weight F32 4 3;"
    "shape.weight F32 4 3; shape.bias F32 5; norm.weight F32 3; norm.bias F32 3;"
    "norm4.weight F32 4; norm4.bias F32 4; d.weight F64 4 3; d.bias F32 4;"
    "fused.weight F32 6 3; fused.bias F32 6; e.weight F32 0 3; e.bias F32 0";

static int setup(void **state)
{
    (void)state;
    folder_make(&here);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    folder_remove(&here);
    return 0;
}

/* Opens the folder, and, if that goes well, plans for inputs of the description's own shapes. */
static attn_status try_model(const char *path, attn_error *err)
{
    attn_model *model;
    attn_session *session;
    *err = (attn_error){0};
    attn_status status = attn_model_open(&model, path, NULL, err);
    if (status) {
        assert_null(model);
        return status;
    }
    assert_int_equal(attn_session_open(&session, model, &(attn_session_options){.threads = 1}, err),
                     ATTN_OK);
    attn_session_close(session);
    attn_model_close(model);
    return status;
}

/* One row: the parts of a description; NULL takes the part of a description that is fine. */
typedef struct row {
    const char *more; /* further top keys, each followed by a comma */
    const char *inputs, *graph, *outputs;
    const char *config; /* config.json */
    const char *message[3];
} row;

#define LIN "{'layer':'linear','in':'x','out':'y','weight':'lin'}"

static void check_row(const row *r)
{
    static char text[4096];
    attn_error err;
    snprintf(text, sizeof text,
             "{'format':'attn/1','name':'t',%s'inputs':%s,'graph':%s,'outputs':%s}",
             r->more ? r->more : "", r->inputs ? r->inputs : "{'x':{'shape':[2,3]}}",
             r->graph ? r->graph : "[" LIN "]", r->outputs ? r->outputs : "{'y':{}}");
    folder_json(&here, "attn.json", text);
    folder_json(&here, "config.json", r->config);
    attn_status status = try_model(here.path, &err);
    if (!r->message[0]) {
        if (status) fail_msg("%s: %s", text, err.text);
        return;
    }
    if (!status) fail_msg("accepted: %s", text);
    assert_int_equal(err.status, status);
    assert_null(strchr(err.text, '\n'));
    for (size_t i = 0; i < 3 && r->message[i]; i++)
        if (!strstr(err.text, r->message[i]))
            fail_msg("%s:\n\"%s\"\ndoes not say \"%s\"", text, err.text, r->message[i]);
    if (!strstr(err.text, here.path)) fail_msg("\"%s\" names no file", err.text);
}

static void check_rows(const row *rows, size_t count)
{
    folder_weights(&here, weights);
    for (size_t i = 0; i < count; i++) check_row(&rows[i]);
}
#define CHECK_ROWS(rows) check_rows(rows, sizeof(rows) / sizeof *(rows))

static void top(void **state)
{
    (void)state;
    static const row rows[] = {
        {0},
        {.more = "'grpah':1,", .message = {"attn.json: unknown key \"grpah\"", "format, name"}},
        {.more = "'config':[1],", .message = {"\"config\" is a list, expected an object"}},
        {.more = "'weights':[],", .message = {"\"weights\" is a list, expected an object"}},
        {.more = "'weights':{'prefx':''},",
         .message = {"unknown key \"prefx\"", "prefix, renamed, file"}},
        {.more = "'weights':{'prefix':[1]},", .message = {"\"prefix\" has 1, expected texts"}},
        {.more = "'weights':{'file':'../other'},", .message = {"\"file\" is \"../other\""}},
        {.more = "'weights':{'file':3},", .message = {"\"file\" is 3, expected a file name"}},
        {.more = "'weights':{'file':'none.safetensors'},",
         .message = {"none.safetensors: No such"}},
        {.more = "'symbols':3,", .message = {"\"symbols\" is 3, expected an object"}},
        {.more = "'symbols':{'s':5},", .message = {"symbols.s: expected an object", "found 5"}},
        {.more = "'symbols':{'s':{'max':0}},", .message = {"symbols.s", "\"max\" is 0"}},
        {.more = "'symbols':{'s':{'min':1}},", .message = {"symbols.s: unknown key \"min\""}},
        {.more = "'symbols':{'s':{}},", .message = {"symbols.s: no input has this dimension"}},
        {.more = "'require':[],", .message = {"\"require\" is a list, expected an object"}},
        {.more = "'require':{'a':1},", .message = {"require.a: expected a list of at most 32"}},
        {.more = "'require':{'a':[[1]]},", .message = {"require.a: expected a list", "and texts"}},
        {.more = "'require':{'a':[null]},", .message = {"require.a: expected a list"}},
        {.more = "'require':{'a':[1,'b',false]},", .config = "{'a':'b'}"},
        {.more = "'require':{'a':[1,'b',false]},", .config = "{'a':['b',1,null]}"},
        {.more = "'require':{'a':[1],'b.c':[2]},", .config = "{'b':{'c':2}}"},
        {.more = "'require':{'a':[]},", .config = "{'a':null}"},
        {.more = "'require':{'a':[1]},'config':{'a':1},"},
        {.more = "'require':{'a':[]},",
         .config = "{'a':0}",
         .message = {"require.a: ", "config.json has 0, this description knows none"}},
        {.more = "'require':{'a':[1,'b',false]},",
         .config = "{'a':true}",
         .message = {"require.a: ", "has true, this description knows 1, \"b\", false"}},
        {.more = "'require':{'b.c':['x','y']},",
         .config = "{'b':{'c':['x','z']}}",
         .message = {"require.b.c: ", "has \"z\", this description knows \"x\", \"y\""}},
        {.more = "'require':{'a':[2]},'config':{'a':1},",
         .message = {"require.a: the config has 1, this description knows"}},
        {.config = "[1]", .message = {"config.json: expected an object, found a list"}},
        {.config = "{'a':1,'a':2}", .message = {"config.json: the key \"a\" stands twice"}},
        {.config = "{'a':", .message = {"config.json: line 1: not valid JSON"}},
        {.config = "{'a':1e999}", .message = {"config.json: a is a number too large"}},
    };
    CHECK_ROWS(rows);
}

static void ports(void **state)
{
    (void)state;
    static const row rows[] = {
        {.inputs = "{}", .message = {"\"inputs\" names no input"}},
        {.inputs = "[]", .message = {"\"inputs\" is a list, expected an object"}},
        {.inputs = "{'x':3}", .message = {"inputs.x: expected an object, found 3"}},
        {.inputs = "{'x':{}}", .message = {"inputs.x: \"shape\" is nothing, expected a list"}},
        {.inputs = "{'x':{'shape':[0]}}", .message = {"inputs.x: \"shape\" is 0"}},
        {.inputs = "{'x':{'shape':[2.5]}}", .message = {"inputs.x: \"shape\" is 2.5"}},
        {.inputs = "{'x':{'shape':[-1]}}", .message = {"inputs.x: \"shape\" is -1"}},
        {.inputs = "{'x':{'shape':[5e9]}}", .message = {"\"shape\" is 5000000000"}},
        {.inputs = "{'x':{'shape':[1,1,1,1,1,1,1,1]}}", .message = {"a list of at most 7 sizes"}},
        {.inputs = "{'x':{'shape':['n']}}", .message = {"inputs.x: \"shape\"", "\"n\" is needed"}},
        {.inputs = "{'x':{'shape':['n']}}",
         .config = "{'n':'two'}",
         .message = {"inputs.x: \"shape\": \"n\" is a text, expected an integer"}},
        {.inputs = "{'x':{'shape':['n / 2']}}",
         .config = "{'n':3}",
         .message = {"\"n / 2\" is 1.5, expected an integer in [1, 4294967296]"}},
        {.inputs = "{'x':{'shape':[2,3],'kind':'sound'}}",
         .message = {"\"kind\" is \"sound\"", "array, image, tokens"}},
        {.inputs = "{'x':{'shape':[2,3],'dtype':'f64'}}", .message = {"\"dtype\" is \"f64\""}},
        {.inputs = "{'x':{'shape':[2,3],'size':1}}", .message = {"inputs.x: unknown key \"size\""}},
        {.inputs = "{'x':{'shape':[2,3],'kind':'image'}}",
         .message = {"inputs.x: an image is of rank 3, [3, height, width], or 4"}},
        {.inputs = "{'x':{'shape':[2,3],'range':[0,1]}}",
         .message = {"\"range\" is for inputs of"}},
        {.inputs = "{'x':{'shape':[2],'dtype':'i32','range':[0]}}",
         .message = {"\"range\" is a list"}},
        {.inputs = "{'x':{'shape':[2],'dtype':'i32','range':[2,1]}}",
         .message = {"\"range\" is 1"}},
        {.inputs = "{'x':{'shape':[2,3],'default':'one'}}",
         .message = {"inputs.x: \"default\": ", "\"one\" is needed"}},
        {.inputs = "{'x':{'shape':[2,3],'default':'one'}}",
         .config = "{'one':'1'}",
         .message = {"inputs.x: \"default\" is \"one\", expected a number in [-3.4"}},
        {.inputs = "{'x':{'shape':[2,3],'default':[1]}}",
         .message = {"inputs.x: \"default\" is a list, expected a number"}},
        {.inputs = "{'x':{'shape':[2,3],'default':1e39}}",
         .message = {"\"default\" is 1e+39, expected a number in [-3.4"}},
        {.inputs = "{'i':{'shape':[2],'dtype':'i32','default':0.5},'x':{'shape':[2,3]}}",
         .message = {"inputs.i: \"default\" is 0.5, expected an integer in [-2147483648, 2147"}},
        {.inputs = "{'i':{'shape':[2],'dtype':'i32','range':[0,1],'default':2}}",
         .message = {"inputs.i: \"default\" is 2, expected an integer in [0, 1]"}},
        {.more = "'symbols':{'n':{}},",
         .inputs = "{'x':{'shape':['n',3],'default':1},'z':{'shape':[3]}}",
         .message = {"symbols.n: no input has this dimension"}},
        {.more = "'symbols':{'n':{}},",
         .inputs = "{'m':{'shape':['n'],'default':'0 - n'},'x':{'shape':['n',3]}}",
         .config = "{'n':2}"},
        {.inputs = "{'x':{'shape':[2,3],'default':-0.25}}"},
        {.inputs = "{'x':{'shape':[2,3],'when':1}}",
         .message = {"inputs.x: \"when\" is 1, expected true, false or a condition"}},
        {.inputs = "{'x':{'shape':[2,3],'when':false}}", .message = {"\"inputs\" names no input"}},
        {.inputs = "{'x':{'shape':[4294967296,4294967296]}}",
         .graph = "[{'layer':'relu','in':'x','out':'y'}]",
         .message = {"[4294967296, 4294967296]", "too large"}},
        {.inputs = "{'x':{'shape':[4294967296,4096]}}",
         .graph = "[{'layer':'relu','in':'x','out':'y'}]",
         .message = {"[4294967296, 4096]", "too large"}},
        {.outputs = "{}", .message = {"\"outputs\" names no output"}},
        {.outputs = "{'z':{}}", .message = {"outputs.z: no value is named \"z\" at the end"}},
        {.outputs = "{'z':{'value':1}}", .message = {"outputs.z: \"value\" is 1"}},
        {.outputs = "{'y':{'kind':'mask'}}", .message = {"\"kind\" is \"mask\"", "array, classes"}},
        {.outputs = "{'y':{'labels':['a']}}",
         .message = {"\"labels\" is for outputs of kind classes"}},
        {.outputs = "{'y':{'kind':'classes','labels':3}}", .message = {"\"labels\" is 3"}},
        {.outputs = "{'y':{'kind':'classes','labels':['a',1]}}",
         .message = {"\"labels\": entry 1 is 1, expected a text"}},
        {.outputs = "{'y':{'kind':'classes','labels':'id2label'}}",
         .config = "{'id2label':{'0':'a','7':'b'}}",
         .message = {"outputs.y: \"labels\": \"7\" is no index below 2"}},
        {.outputs = "{'y':{'kind':'classes','labels':'id2label'}}",
         .config = "{'id2label':{'-1':'a'}}",
         .message = {"\"-1\" is no index below 1"}},
        {.inputs = "{'x':{'shape':[3]}}",
         .outputs = "{'y':{'kind':'classes','labels':['a','b','c']}}",
         .message = {"output \"y\" has 4 classes and 3 labels"}},
        {.outputs = "{'y':{'probability':'softmax'}}",
         .message = {"\"probability\" is for outputs of kind classes"}},
        {.inputs = "{'x':{'shape':[3]}}",
         .outputs = "{'y':{'kind':'classes','probability':'odds'}}",
         .message = {"outputs.y: \"probability\": ", "\"odds\" is needed"}},
        {.inputs = "{'x':{'shape':[3]}}",
         .outputs = "{'y':{'kind':'classes','probability':'odds'}}",
         .config = "{'odds':'both'}",
         .message = {"\"probability\" is \"odds\", expected one of: softmax, sigmoid, none"}},
        {.inputs = "{'x':{'shape':[3]}}",
         .outputs = "{'y':{'kind':'classes','probability':'odds'}}",
         .config = "{'odds':'sigmoid'}"},
        {.more = "'let':3,", .message = {"\"let\" is 3, expected an object of at most 16 values"}},
        {.more = "'let':{'a':3},", .message = {"let.a is 3, expected an expression"}},
        {.more = "'let':{'a':'b','b':'1'},", .message = {"let.a: ", "\"b\" is needed"}},
        {.more = "'let':{'b':'1 + 1','a':'b + 1'},", .inputs = "{'x':{'shape':['b','a']}}"},
        {.more = "'weights':{'renamed':3},", .message = {"\"renamed\" is 3, expected an object"}},
        {.more = "'weights':{'renamed':{'a':3}},",
         .message = {"\"renamed\" has 3, expected texts"}},
        {.more = "'weights':{'renamed':{'lon.weight':'lin.weight','lon.bias':'lin.bias'}},",
         .graph = "[{'layer':'linear','in':'x','out':'y','weight':'lon'}]"},
        {.more = "'state':{'h':{'shape':[3]}},",
         .message = {"state.h: \"next\" is nothing, expected the name of a value"}},
        {.more = "'state':{'h':{'shape':[3],'next':'q'}},",
         .message = {"state.h: \"next\" is \"q\""}},
        {.more = "'state':{'x':{'shape':[3],'next':'y'}},",
         .message = {"\"x\" is an input and a state"}},
        {.more = "'state':{'h':{'shape':[3],'next':'y','when':true}},",
         .message = {"state.h: unknown key \"when\""}},
        {.more = "'state':{'h':{'shape':[3],'next':'y'}},",
         .message = {"state \"h\" is f32 [3], its \"next\" is f32 [2, 4]"}},
    };
    CHECK_ROWS(rows);
}

static void nodes(void **state)
{
    (void)state;
    static const row rows[] = {
        {.graph = "3", .message = {"\"graph\" is 3, expected a list of layers"}},
        {.graph = "[3]", .message = {"graph[0]: expected an object, found 3"}},
        {.graph = "[{}]", .message = {"graph[0]: \"layer\" is nothing"}},
        {.graph = "[{'layer':'conv9'}]", .message = {"graph[0]: there is no layer \"conv9\""}},
        {.graph = "[{'layer':'Linear'}]", .message = {"there is no layer \"Linear\""}},
        {.graph = "[{'layer':'linear','out':'y','weight':'lin'}]",
         .message = {"graph[0] (linear): \"in\" names 0 values, expected 1"}},
        {.graph = "[{'layer':'linear','in':'x','weight':'lin'}]",
         .message = {"graph[0] (linear): \"out\" names 0 values"}},
        {.graph = "[{'layer':'linear','in':['x','x'],'out':'y','weight':'lin'}]",
         .message = {"\"in\" names 2 values, expected 1"}},
        {.graph = "[{'layer':'linear','in':'q','out':'y','weight':'lin'}]",
         .message = {"graph[0] (linear): \"in\": no value is named \"q\" here"}},
        {.graph = "[{'layer':'linear','in':'y','out':'y','weight':'lin'}]",
         .message = {"no value is named \"y\" here"}},
        {.graph = "[{'layer':'linear','in':'','out':'y','weight':'lin'}]",
         .message = {"\"in\" has \"\", expected names of values"}},
        {.graph = "[{'layer':'linear','in':[1],'out':'y','weight':'lin'}]",
         .message = {"\"in\" has 1, expected names"}},
        {.graph = "[{'layer':'linear','in':'x','out':['y','y'],'weight':'lin'}]",
         .message = {"\"out\" names \"y\" twice"}},
        {.graph = "[{'layer':'linear','in':'x','out':'y'}]",
         .message = {"graph[0] (linear): the key \"weight\" is missing"}},
        {.graph = "[{'layer':'linear','in':'x','out':'y','weight':'lin','wieght':1}]",
         .message = {"this layer has no key \"wieght\""}},
        {.graph = "[{'layer':'linear','in':'x','out':'y','weight':'none'}]",
         .message = {"key \"weight\": ", "model.safetensors has no tensor \"none.weight\""}},
        {.more = "'weights':{'prefix':['a.','b.']},",
         .message = {"has no tensor \"a.lin.weight\" (nor with the other prefixes)"}},
        {.graph = "[{'layer':'linear','in':'x','out':'y','weight':'nobias'}]",
         .message = {"has no tensor \"nobias.bias\""}},
        {.graph = "[{'layer':'linear','in':'x','out':'y','weight':'bad'}]",
         .message = {"tensor \"bad.weight\" has shape [4], expected rank 2"}},
        {.graph = "[{'layer':'linear','in':'x','out':'y','weight':'shape'}]",
         .message = {"graph[0] (linear)", "shape.bias", "5"}},
        {.graph = "[{'layer':'linear','in':'x','out':'y','weight':'d'}]",
         .message = {"d.weight", "F64"}},
        {.graph = "[{'layer':'linear','in':'x','out':'y','weight':'e'}]",
         .message = {"tensor \"e.weight\" has no elements"}},
        {.graph = "[{'layer':'linear','in':'x','out':'y','weight':3}]",
         .message = {"key \"weight\" is 3, expected the name of a weight"}},
        {.graph = "[{'layer':'linear','in':'x','out':'y','weight':'lin','bias':3}]",
         .message = {"key \"bias\" is 3, expected true, false or a name"}},
        {.graph = "[{'layer':'linear','in':'x','out':'y','weight':'lin','transposed':1}]",
         .message = {"key \"transposed\" is 1, expected true or false"}},
        {.graph = "[{'layer':'linear','in':'x','out':'y','weight':'fused','rows':[4,3]}]",
         .message = {"\"rows\" [4, 3] do not lie within the 6 outputs of \"fused.weight\""}},
        {.graph = "[{'layer':'linear','in':'x','out':'y','weight':'fused','rows':[0,1,2]}]",
         .message = {"key \"rows\" has 3 entries, expected at most 2"}},
        {.graph = "[{'layer':'linear','in':'x','out':'y','weight':'fused','rows':[]}]",
         .message = {"key \"rows\" is an empty list"}},
        {.graph = "[{'layer':'linear','in':'x','out':'y','weight':'fused','rows':[[0],[1]]}]",
         .message = {"key \"rows\" has a list, expected integers"}},
        {.graph = "[{'layer':'linear','in':'x','out':'y','weight':'lin','activation':'gleu'}]",
         .message = {"key \"activation\" is \"gleu\", expected one of"}},
        {.graph = "[{'layer':'linear','in':'x','out':'y','weight':'lin','transposed':true}]",
         .message = {"graph[0] (linear)", "4"}},
        {.graph = "[{'layer':'layer_norm','in':'x','out':'y','weight':'norm'}]",
         .message = {"graph[0] (layer_norm): the key \"eps\" is missing"}},
        {.graph = "[{'layer':'layer_norm','in':'x','out':'y','weight':'norm','eps':2}]",
         .message = {"key \"eps\" is 2, expected a number in [0, 1]"}},
        {.graph = "[{'layer':'layer_norm','in':'x','out':'y','weight':'norm','eps':1e-60}]",
         .message = {"key \"eps\" is 1e-60, which f32 cannot hold"}},
        {.graph =
             "[{'layer':'layer_norm','in':'x','out':'y','weight':'norm','eps':'layer_norm_eps'}]",
         .message = {"key \"eps\": expression \"layer_norm_eps\": the config value"}},
        {.graph = "[{'layer':'layer_norm','in':'x','out':'y','weight':'norm','eps':'e'}]",
         .config = "{'e':'small'}",
         .message = {"key \"eps\" is \"small\", expected a number"}},
        {.graph = "[{'layer':'layer_norm','in':'x','out':'y','weight':'norm4','eps':0.1}]",
         .message = {"graph[0] (layer_norm)", "3", "4"}},
        {.graph = "[{'layer':'score','in':['x','x'],'out':'y','heads':2}]",
         .message = {"graph[0] (score)", "3", "2"}},
        {.graph = "[{'layer':'score','in':['x','x'],'out':'y','heads':0}]",
         .message = {"key \"heads\" is 0, expected an integer in [1,"}},
        {.graph = "[{'layer':'score','in':['x','x'],'out':'y','mask':'q'}]",
         .message = {"key \"mask\": no value is named \"q\" here"}},
        {.graph = "[{'layer':'attention','in':['x','x','x'],'out':'y','bias':{}}]",
         .message = {"key \"bias\" is an object, expected the name of a value"}},
        {.graph = "[{'layer':'attention','in':['x','x','x'],'out':'y','window':null,'scale':null,"
                  "'causal':'none'},{'layer':'slice','in':'y','out':'y','axis':0,'end':'none'},"
                  "{'layer':'mul','in':['y','y'],'out':'y','value':null}]",
         .config = "{'none':null}"},
        {.graph = "[{'layer':'rms_norm','in':'x','out':'y','affine':false,'eps':'none'}]",
         .config = "{'none':null}",
         .message = {"key \"eps\" is null, expected a number in [0, 1]"}},
        {.graph = "[{'layer':'rope_angles','out':'y','rows':2,'head_dim':4,'scaling':{}}]"},
        {.graph = "[{'layer':'rope_angles','out':'y','rows':2,'head_dim':4,'scaling':'r'}]",
         .config = "{'r':{'type':'linear','factor':2,'more':null}}"},
        {.graph = "[{'layer':'rope_angles','out':'y','rows':2,'head_dim':4,'scaling':'r'}]",
         .config = "{'r':{'type':'linear','factor':2,'more':1}}",
         .message = {"graph[0] (rope_angles): \"scaling\": the key \"more\" is not known here"}},
        {.graph = "[{'layer':'rope_angles','out':'y','rows':2,'head_dim':4,'scaling':'r'}]",
         .config = "{'r':{'type':'linear','factor':[2]}}",
         .message = {"\"scaling\": key \"factor\" is a list, expected a number"}},
        {.graph = "[{'layer':'rope_angles','out':'y','rows':2,'head_dim':4,'scaling':'r'}]",
         .config = "{'r':'linear'}",
         .message = {"key \"scaling\" is \"linear\", expected an object"}},
        {.graph = "[{'layer':'reshape','in':'x','out':'y','shape':[5,5]}]",
         .message = {"graph[0] (reshape)", "6 elements", "25"}},
        {.graph = "[{'layer':'reshape','in':'x','out':'y','shape':[1099511627776,1099511627776]}]",
         .message = {"graph[0] (reshape)", "1099511627776"}},
        {.graph = "[{'layer':'reshape','in':'x','out':'y','shape':[-1,-1]}]",
         .message = {"\"shape\" has -1 more than once"}},
        {.graph = "[{'layer':'add','in':['x'],'out':'y'}]", .message = {"graph[0] (add)"}},
        {.graph = "[" LIN ",{'layer':'add','in':['x','y'],'out':'y'}]",
         .message = {"graph[1] (add)", "[2, 3]", "[2, 4]"}},
        {.graph = "[{'layer':'linear','in':'x','out':'y','weight':'lin','name':1}]",
         .message = {"\"name\" is 1, expected a text"}},
        {.graph = "[{'layer':'linear','in':'x','out':'y','weight':'lin','when':'1 + 1'}]",
         .message = {"graph[0]: \"when\" is \"1 + 1\", expected true, false or a condition"}},
        {.graph = "[{'layer':'linear','in':'x','out':'y','weight':'lin','when':'x >'}]",
         .message = {"graph[0]: \"when\": expression \"x >\""}},
    };
    CHECK_ROWS(rows);
}

static void groups(void **state)
{
    (void)state;
    static const row rows[] = {
        {.graph = "[{'graph':3}]", .message = {"graph[0]: \"graph\" is 3, expected a list"}},
        {.graph = "[{'repeat':2}]", .message = {"graph[0]: \"layer\" is nothing"}},
        {.graph = "[{'repeat':-1,'graph':[]}]", .message = {"graph[0]: \"repeat\" is -1"}},
        {.graph = "[{'repeat':1025,'graph':[]}]", .message = {"expected an integer in [0, 1024]"}},
        {.graph = "[{'repeat':1.5,'graph':[]}]", .message = {"\"repeat\" is 1.5"}},
        {.graph = "[{'repeat':'n','graph':[]}]",
         .config = "{'n':null}",
         .message = {"\"repeat\": \"n\" is null, expected an integer"}},
        {.graph = "[{'repeat':2,'index':3,'graph':[]}]", .message = {"\"index\" is 3"}},
        {.graph = "[{'index':'i','graph':[]}]", .message = {"\"index\" without \"repeat\""}},
        {.graph = "[{'repeat':2,'prefix':3,'graph':[]}]", .message = {"\"prefix\" is 3"}},
        {.graph = "[{'repeat':2,'in':'x','graph':[]}]", .message = {"unknown key \"in\""}},
        {.graph = "[{'prefix':'a{i}.','graph':[]}]", .message = {"\"prefix\": expression \"i\""}},
        {.graph = "[{'prefix':'a{i.','graph':[]}]", .message = {"has a { without its }"}},
        {.graph = "[{'prefix':'a{0.5}.','graph':[]}]", .message = {"{0.5} is no integer"}},
        {.graph = "[{'prefix':'a{1e300}','graph':[]}]", .message = {"{1e300} is no integer"}},
        {.graph = "[{'repeat':2,'graph':[{'layer':'linear','in':'x','out':'y','weight':'q'}]}]",
         .message = {"graph[0].graph[0] (linear)", "no tensor \"q.weight\""}},
        {.graph =
             "[{'repeat':1024,'graph':[{'repeat':1024,'graph':[{'layer':'none','when':false}]}]}]",
         .message = {"more than 131072 entries"}},
        {.graph = "[{'repeat':1024,'graph':[{'repeat':1024,'graph':[]}]}]",
         .message = {"more than 131072 entries"}},
        {.graph = "[{'repeat':1024,'graph':[{'repeat':9,'graph':[{'layer':'relu','in':'x','out':'y'"
                  "}]}]}]",
         .message = {"more than 8192 layers"}},
        {.graph =
             "[{'graph':[{'graph':[{'graph':[{'graph':[{'graph':[{'graph':[{'graph':[{'graph':["
             "{'graph':[" LIN "]}]}]}]}]}]}]}]}]}]",
         .message = {"groups nested deeper than 8"}},
        {.graph = "[{'repeat':1,'index':'a','graph':[{'repeat':1,'index':'b','graph':["
                  "{'repeat':1,'index':'c','graph':[{'repeat':1,'index':'d','graph':["
                  "{'repeat':1,'index':'e','graph':[{'repeat':1,'index':'f','graph':["
                  "{'repeat':1,'index':'g','graph':[{'repeat':1,'index':'h','graph':["
                  "{'repeat':1,'index':'i','graph':[" LIN "]}]}]}]}]}]}]}]}]}]",
         .message = {"groups nested deeper than 8"}},
        {.graph =
             "[{'graph':[{'graph':[{'graph':[{'graph':[{'graph':[{'graph':[{'graph':[{'graph':[" LIN
             "]}]}]}]}]}]}]}]}]"},
    };
    CHECK_ROWS(rows);
}

/* A name whose number would run over its buffer, and prefixes that add up beyond any name. */
static void long_names(void **state)
{
    (void)state;
    static char graph[4096], name[600];
    memset(name, 'a', sizeof name);
    name[470] = 0;
    snprintf(graph, sizeof graph, "[{'prefix':'%s{1e308}','graph':[]}]", name);
    const row number = {.graph = graph, .message = {"is no integer"}};
    check_row(&number);
    name[470] = 'a';
    name[500] = 0;
    snprintf(graph, sizeof graph, "[{'prefix':'%s','graph':[]}]", name);
    const row one = {.graph = graph, .message = {"is too long"}};
    check_row(&one);
    name[400] = 0;
    snprintf(graph, sizeof graph, "[{'prefix':'%s','graph':[{'prefix':'%s','graph':[]}]}]", name,
             name);
    const row sum = {.graph = graph, .message = {"the prefix is longer than 512 characters"}};
    check_row(&sum);
}

/* Whole files. */
static void files(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        attn_status status;
        const char *message;
    } rows[] = {
        {"", ATTN_BAD_FILE, "attn.json: line 1: not valid JSON"},
        {"{", ATTN_BAD_FILE, "attn.json: line 1: not valid JSON"},
        {"[]", ATTN_BAD_MODEL, "attn.json: expected an object, found a list"},
        {"null", ATTN_BAD_MODEL, "attn.json: expected an object, found null"},
        {"{}", ATTN_BAD_MODEL, "attn.json: \"format\" is nothing, expected \"attn/1\""},
        {"{'format':'attn/2'}", ATTN_BAD_MODEL, "\"format\" is \"attn/2\", expected \"attn/1\""},
        {"{'format':1}", ATTN_BAD_MODEL, "\"format\" is 1"},
        {"{'format':'attn/1','format':'attn/1'}", ATTN_BAD_FILE, "the key \"format\" stands twice"},
        {"{'format':'attn/1'}", ATTN_BAD_MODEL, "\"inputs\" names no input"},
        {"{'format':'attn/1'} {}", ATTN_BAD_FILE, "line 1: text after the JSON value"},
        {"{'format':'attn/1',\n\n'a':'\x01'}", ATTN_BAD_FILE, "line 3: a control character"},
        {"{'format':'attn/1','a':'\xff'}", ATTN_BAD_FILE, "byte 0xff is not UTF-8"},
        {"{'format':'attn/1','a':'\\u0000'}", ATTN_BAD_FILE, "a zero character"},
        {"{'format':'attn/1','inputs':{'x':{'shape':[2]}},'graph':[],'outputs':{'x':{}}}",
         ATTN_BAD_MODEL, "\"name\" is nothing, expected a text"},
    };
    attn_error err;
    folder_weights(&here, weights);
    folder_json(&here, "config.json", NULL);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        folder_json(&here, "attn.json", rows[i].text);
        attn_status status = try_model(here.path, &err);
        if (status != rows[i].status || !strstr(err.text, rows[i].message))
            fail_msg("%s: %d, \"%s\"", rows[i].text, (int)status, err.text);
    }
    static char deep[400];
    memset(deep, '[', sizeof deep - 1);
    folder_text(&here, "attn.json", deep);
    assert_int_equal(try_model(here.path, &err), ATTN_BAD_FILE);
    assert_non_null(strstr(err.text, "nested deeper than 64 levels"));

    size_t size = (size_t)20 << 20;
    char *large = malloc(size);
    assert_non_null(large);
    memset(large, ' ', size);
    folder_bytes(&here, "attn.json", large, size);
    free(large);
    assert_int_equal(try_model(here.path, &err), ATTN_LIMIT);
    assert_non_null(strstr(err.text, "20971520 bytes of JSON"));
}

static void folders(void **state)
{
    (void)state;
    attn_error err;
    folder_json(&here, "attn.json", NULL);
    folder_json(&here, "config.json", NULL);
    assert_int_equal(try_model(here.path, &err), ATTN_IO);
    assert_non_null(strstr(err.text, "neither attn.json nor config.json"));
    assert_int_equal(try_model(folder_file(&here, "none"), &err), ATTN_IO);
    assert_non_null(strstr(err.text, "none: No such file"));
    assert_int_equal(try_model("", &err), ATTN_IO);

    /* A folder that only built-in descriptions could serve. */
    folder_json(&here, "config.json", "{'model_type':'mamba'}");
    assert_int_equal(try_model(here.path, &err), ATTN_BAD_MODEL);
    assert_non_null(strstr(err.text, "\"model_type\" is \"mamba\", which no built-in"));
    folder_json(&here, "config.json", "{'model_type':'vit'}");
    assert_int_equal(try_model(here.path, &err), ATTN_BAD_MODEL);
    assert_non_null(strstr(err.text, "vit.json (built in)"));

    /* Weights instead of a description, and a folder where a file is expected. */
    folder_weights(&here, weights);
    assert_int_equal(try_model(folder_file(&here, "model.safetensors"), &err), ATTN_BAD_FILE);
    assert_non_null(strstr(err.text, "model.safetensors"));
    assert_int_equal(mkdir(folder_file(&here, "sub"), 0700), 0);
    folder_json(
        &here, "attn.json",
        "{'format':'attn/1','name':'t','weights':{'file':'sub'},'inputs':{'x':{'shape':[3]}},"
        "'graph':[],'outputs':{'x':{}}}");
    assert_int_equal(try_model(here.path, &err), ATTN_IO);
    assert_non_null(strstr(err.text, "sub: not a regular file"));
    assert_int_equal(rmdir(folder_file(&here, "sub")), 0);

    if (geteuid() == 0) {
        print_message("SKIP: a file without read permission: root reads all files\n");
        return;
    }
    assert_int_equal(chmod(folder_file(&here, "attn.json"), 0), 0);
    assert_int_equal(try_model(here.path, &err), ATTN_IO);
    assert_non_null(strstr(err.text, "attn.json: Permission denied"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(top),     cmocka_unit_test(ports),      cmocka_unit_test(nodes),
        cmocka_unit_test(groups),  cmocka_unit_test(long_names), cmocka_unit_test(files),
        cmocka_unit_test(folders),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
