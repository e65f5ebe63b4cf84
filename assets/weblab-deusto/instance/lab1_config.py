# The experiments of the laboratory, written by bringup.
laboratory_assigned_experiments = {
    'exp1:dummy@Dummy experiments': {
        'coord_address': 'experiment1:laboratory1@core_host',
        'checkers': (),
    },
}
