/* A libFuzzer target that is a Python: every input goes to one_input() of fuzz/target.py, and mutate.py makes some. */

#include <Python.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static PyObject *one_input;
static PyObject *mutate;

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size); /* libFuzzer's own changes */

static void give_up(const char *what)
{
    fflush(stdout);
    if (PyErr_Occurred())
        PyErr_Print();
    fprintf(stderr, "fuzz: %s\n", what);
    abort();
}

static PyObject *function(const char *module, const char *name)
{
    PyObject *imported = PyImport_ImportModule(module);
    PyObject *found = imported != NULL ? PyObject_GetAttrString(imported, name) : NULL;
    if (found == NULL)
        give_up("cannot start");
    Py_DECREF(imported);
    return found;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    PyConfig config;
    PyConfig_InitPythonConfig(&config);
    config.install_signal_handlers = 0;
    /* PYTHON: the interpreter whose packages are wanted */
    PyStatus status = PyConfig_SetBytesString(&config, &config.program_name, PYTHON);
    if (!PyStatus_Exception(status))
        status = Py_InitializeFromConfig(&config);
    PyConfig_Clear(&config);
    if (PyStatus_Exception(status))
        Py_ExitStatusException(status);

    one_input = function("fuzz.target", "one_input");
    mutate = function("fuzz.mutate", "mutate");
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    PyObject *input = PyBytes_FromStringAndSize((const char *)data, (Py_ssize_t)size);
    PyObject *result = input != NULL ? PyObject_CallOneArg(one_input, input) : NULL;
    if (result == NULL)
        give_up("this input shows it");
    Py_DECREF(result);
    Py_DECREF(input);
    return 0;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned int seed)
{
    if (seed % 2)
        return LLVMFuzzerMutate(data, size, max_size);
    PyObject *result = PyObject_CallFunction(mutate, "NI", PyBytes_FromStringAndSize((const char *)data, (Py_ssize_t)size), seed);
    if (result == NULL || !PyBytes_Check(result))
        give_up("mutate() failed");
    size_t made = (size_t)PyBytes_GET_SIZE(result);
    made = made < max_size ? made : max_size;
    memcpy(data, PyBytes_AS_STRING(result), made);
    Py_DECREF(result);
    return made;
}
